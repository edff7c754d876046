"""Writes one object: cut into blocks, which are written in their shorter form; or unchanged if too little would be
saved."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from zlib import crc32

from gantry.common.dicom.packing.cutting import Cut, Cutter
from gantry.common.dicom.packing.form import HEAD, Block, Coding, begins_alike, write_table
from gantry.common.ports.blobs import BlobWriter, Buffer
from gantry.common.runtime.packed.workers import BlockWorkers
from gantry.common.tasks import end_tasks

_SMALL = 64 << 10
"""Pieces without samples that are shorter than this are not packed: headers are read often."""
_AHEAD = 3
"""Blocks that are coded, or wait for it, at once."""
_TRIAL = 4 << 20
"""Bytes at the beginning of an object that decide whether it is packed."""
_WORTH = 0.9


class PackedWriter:
    """`BlobWriter` over that of the store below."""

    def __init__(self, inner: BlobWriter, workers: BlockWorkers, written: Callable[[], None]) -> None:
        """`written` is called when the object is about to become visible, and when it is."""
        self._inner = inner
        self._workers = workers
        self._written = written
        self._cutter = Cutter()
        self._coding: deque[tuple[Cut, asyncio.Task[tuple[Block, bytes]]]] = deque()
        self._held: list[tuple[Cut, Block, bytes]] = []
        self._blocks: list[Block] = []
        self._packs: bool | None = None
        """None while undecided."""

    async def write(self, chunk: Buffer) -> None:
        """As the port has it."""
        if self._packs is False:
            await self._inner.write(chunk)
        else:
            await self._add(self._cutter.feed(chunk))

    async def commit(self) -> None:
        """As the port has it."""
        await self._add(self._cutter.finish())
        while self._coding:
            await self._take()
        if self._packs is None:
            await self._decide()
        if self._packs:
            await self._inner.write(write_table(self._blocks))
        self._written()
        await self._inner.commit()
        self._written()

    async def abort(self) -> None:
        """As the port has it."""
        await end_tasks(*(task for _, task in self._coding))
        await self._inner.abort()

    async def _add(self, cuts: Iterable[Cut]) -> None:
        for cut in cuts:
            if self._packs is False:  # decided meanwhile: the rest of the given bytes
                await self._write_waiting()
                await self._inner.write(cut.data)
                continue
            self._coding.append((cut, asyncio.ensure_future(self._coded(cut))))
            while len(self._coding) > _AHEAD:
                await self._take()
        if self._packs is False:
            await self._write_waiting()
            for cut in self._cutter.finish():
                await self._inner.write(cut.data)

    async def _write_waiting(self) -> None:
        """Write the waiting bytes of an object that is not packed."""
        while self._coding:
            cut, task = self._coding.popleft()
            await end_tasks(task)
            await self._inner.write(cut.data)

    async def _coded(self, cut: Cut) -> tuple[Block, bytes]:
        if cut.strip is None and len(cut.data) < _SMALL:
            return Block(Coding.PLAIN, len(cut.data), len(cut.data), crc32(cut.data)), cut.data
        return await self._workers.pack(cut)

    async def _take(self) -> None:
        cut, task = self._coding.popleft()
        block, stored = await task
        if self._packs:
            await self._write(block, stored)
        elif self._packs is None:
            self._held.append((cut, block, stored))
            if sum(piece.length for _, piece, _ in self._held) >= _TRIAL:
                await self._decide()
        else:
            await self._inner.write(cut.data)

    async def _decide(self) -> None:
        length = sum(block.length for _, block, _ in self._held)
        worth = sum(block.stored for _, block, _ in self._held) <= length * _WORTH
        first = self._held[0][0].data if self._held else b""
        # An object that begins like a packed one would be taken for one.
        self._packs = bool(length) and (worth or begins_alike(first))
        if self._packs:
            await self._inner.write(HEAD)
        held, self._held = self._held, []
        for cut, block, stored in held:
            await (self._write(block, stored) if self._packs else self._inner.write(cut.data))

    async def _write(self, block: Block, stored: bytes) -> None:
        self._blocks.append(block)
        await self._inner.write(stored)
