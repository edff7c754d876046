"""The store: packs on writing and unpacks on reading, over another store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from gantry.common.dicom.packing.form import BlockTable
from gantry.common.ports.blobs import BlobReader, BlobStat, BlobStore, BlobWriter, Buffer, Part
from gantry.common.runtime.packed.reading import PackedReader, StoredBytes, parts_of
from gantry.common.runtime.packed.tables import StoredForm, Tables
from gantry.common.runtime.packed.workers import BlockWorkers
from gantry.common.runtime.packed.writing import PackedWriter
from gantry.common.tasks import end_tasks

_AT_ONCE = 32


class PackedStore:
    """`BlobStore` over `inner`, which holds packed objects and plain ones. `list` returns the stored size of an object;
    everything else is about the original object."""

    def __init__(self, inner: BlobStore, processes: int = 2) -> None:
        self._inner = inner
        self._tables = Tables(inner)
        self._workers = BlockWorkers(processes)

    async def put(self, key: str, parts: Sequence[Buffer]) -> None:
        writer = self.writer(key)
        try:
            for part in parts:
                await writer.write(part)
            await writer.commit()
        except BaseException:
            await writer.abort()
            raise

    def writer(self, key: str) -> BlobWriter:
        return PackedWriter(self._inner.writer(key), self._workers, lambda: self._tables.forget(key))

    async def open(self, key: str, offset: int = 0, length: int | None = None) -> BlobReader:
        look = await self._tables.look(key)
        if look.table is None:
            return await self._inner.open(key, offset, length)
        size = look.table.size
        begin = min(offset, size)
        end = size if length is None else min(begin + length, size)
        return PackedReader(await self._stored(key, look, begin, end), look.table, begin, end, self._workers)

    async def read(self, parts: Sequence[Part]) -> list[bytes]:
        places: dict[str, list[int]] = {}
        for at, part in enumerate(parts):
            places.setdefault(part.key, []).append(at)
        contents, turns = [b""] * len(parts), asyncio.Semaphore(_AT_ONCE)

        async def read(key: str) -> None:
            wanted = [parts[at] for at in places[key]]
            async with turns:
                look = await self._tables.look(key)
                table = look.table
                pieces = (
                    await self._inner.read(wanted)
                    if table is None
                    else await parts_of(wanted, table, look.stored, self._inner, self._workers)
                )
            for at, piece in zip(places[key], pieces, strict=True):
                contents[at] = piece

        tasks = [asyncio.ensure_future(read(key)) for key in places]
        try:
            await asyncio.gather(*tasks)
        finally:
            await end_tasks(*tasks)
        return contents

    async def stat(self, key: str) -> BlobStat:
        look = await self._tables.look(key)
        return await self._inner.stat(key) if look.table is None else BlobStat(key, look.table.size)

    async def delete(self, key: str) -> None:
        await self._inner.delete(key)
        self._tables.forget(key)

    async def bring_back(self, key: str) -> None:
        await self._inner.bring_back(key)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobStat]:
        async for stat in self._inner.list(prefix):
            yield stat

    async def sweep_unfinished(self, older_than: float) -> int:
        return await self._inner.sweep_unfinished(older_than)

    async def check(self) -> None:
        await self._inner.check()

    async def close(self) -> None:
        await self._workers.close()
        await self._inner.close()

    async def _stored(self, key: str, look: StoredForm, begin: int, end: int) -> BlobReader:
        """The reader of the blocks that contain some bytes."""
        first, last = _bounds(look.table, begin, end)
        if look.stored is not None:
            return StoredBytes(memoryview(look.stored)[first:last])
        return await self._inner.open(key, first, last - first)


def _bounds(table: BlockTable | None, begin: int, end: int) -> tuple[int, int]:
    """Where the blocks of some bytes begin and end in the packed object."""
    numbers = table.covering(begin, end - begin) if table is not None else range(0)
    if table is None or not numbers:
        return 0, 0
    return table.places[numbers.start], table.places[numbers.stop]
