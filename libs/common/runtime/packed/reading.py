"""Reads one packed object."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from gantry.common.dicom.packing.form import BlockTable
from gantry.common.errors import Corrupt
from gantry.common.ports.blobs import BlobReader, BlobStore, Part
from gantry.common.runtime.packed.workers import BlockWorkers
from gantry.common.tasks import end_tasks

_AHEAD = 2
"""Blocks that are unpacked ahead of the reader: the memory of one open object."""


class PackedReader:
    """`BlobReader` of the bytes from `offset` to `end` of an object. It closes `stored`, the reader of the blocks that
    contain them."""

    def __init__(self, stored: BlobReader, table: BlockTable, offset: int, end: int, workers: BlockWorkers) -> None:
        self.size = table.size
        self._stored = stored
        self._table = table
        self._workers = workers
        self._blocks = table.covering(offset, end - offset)
        self._left = max(0, end - offset)
        self._skip = offset - table.begins[self._blocks.start] if self._blocks else 0
        self._block = memoryview(b"")
        self._head: asyncio.Task[bytes] | None = None
        self._ready: asyncio.Queue[asyncio.Task[bytes]] = asyncio.Queue(_AHEAD)
        self._tasks: set[asyncio.Task[bytes]] = set()
        self._fetching = asyncio.ensure_future(self._fetch())

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """As the port has it. Raises `Corrupt`, `DependencyUnavailable`."""
        done = 0
        for buffer in buffers:
            while len(buffer) and self._left:
                if not self._block:
                    await self._next()
                count = min(len(buffer), len(self._block), self._left)
                buffer[:count] = self._block[:count]
                buffer, self._block = buffer[count:], self._block[count:]
                self._left -= count
                done += count
        return done

    async def close(self) -> None:
        """As the port has it."""
        await end_tasks(self._fetching, *self._tasks)
        await self._stored.close()

    async def _next(self) -> None:
        if self._head is None:
            self._head = await self._ready.get()
        # A failed block stays the next one: a repeated read fails again.
        self._block = memoryview(await self._head)[self._skip :]
        self._skip, self._head = 0, None

    async def _fetch(self) -> None:
        for number in self._blocks:
            block = self._table.blocks[number]
            # A failure belongs to the next block: its reader gets the error, and the blocks before it are good.
            stored = bytearray(block.stored)
            failure: Exception | None = None
            try:
                if await self._stored.readinto([memoryview(stored)]) < block.stored:
                    failure = Corrupt("a packed object is cut off")
            except Exception as error:
                failure = error
            task = asyncio.ensure_future(self._unpacked(number, bytes(stored), failure))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await self._ready.put(task)
            if failure is not None:
                return

    async def _unpacked(self, number: int, stored: bytes, failure: Exception | None) -> bytes:
        if failure is not None:
            raise failure
        return await self._workers.unpack(self._table.blocks[number], stored)


class StoredBytes:
    """`BlobReader` of bytes that are in memory."""

    def __init__(self, content: bytes | memoryview) -> None:
        self.size = len(content)
        self._left = memoryview(content)

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """As the port has it."""
        done = 0
        for buffer in buffers:
            count = min(len(buffer), len(self._left))
            buffer[:count] = self._left[:count]
            self._left = self._left[count:]
            done += count
        return done

    async def close(self) -> None:
        """As the port has it."""


async def parts_of(
    parts: Sequence[Part], table: BlockTable, stored: bytes | None, inner: BlobStore, workers: BlockWorkers
) -> list[bytes]:
    """Parts of one object, in their order; a block that contains several is read once. `stored` is the whole packed
    object, if it is at hand. Raises `Corrupt`, `NotFound`, `DependencyUnavailable`."""
    numbers = sorted({number for part in parts for number in table.covering(part.offset, part.length)})
    places = [Part(parts[0].key, table.places[number], table.blocks[number].stored) for number in numbers]
    if stored is not None:
        pieces = [stored[place.offset : place.offset + place.length] for place in places]
    else:
        pieces = await inner.read(places) if places else []
    if any(len(piece) < place.length for piece, place in zip(pieces, places, strict=True)):
        raise Corrupt("a packed object is cut off")
    pairs = zip(numbers, pieces, strict=True)
    tasks = [asyncio.ensure_future(workers.unpack(table.blocks[number], piece)) for number, piece in pairs]
    try:
        blocks = dict(zip(numbers, await asyncio.gather(*tasks), strict=True))
    finally:
        await end_tasks(*tasks)
    return [_part(table, part, blocks) for part in parts]


def _part(table: BlockTable, part: Part, blocks: Mapping[int, bytes]) -> bytes:
    numbers = table.covering(part.offset, part.length)
    if not numbers:
        return b""
    skip = part.offset - table.begins[numbers.start]
    return b"".join(blocks[number] for number in numbers)[skip : skip + part.length]
