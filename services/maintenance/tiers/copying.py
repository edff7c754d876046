"""Copies one object from one store into another, and verifies it there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from blake3 import blake3

from gantry.common.errors import Corrupt, NotFound
from gantry.common.ports.blobs import BlobStore, Buffer
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.integrity import data_set_offset_in
from gantry.common.runtime.tiered import TieredStore
from gantry.services.maintenance.passes import Pace
from gantry.services.maintenance.tiers.planning import PlannedObject

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Print:
    """An object as it was read: its length, and the digests of the whole of it and of its data set."""

    length: int
    whole: str
    data_set: str


async def _discard(_: Buffer) -> None:
    return


async def print_of(
    store: BlobStore, key: str, offset: int, pace: Pace, write: Callable[[Buffer], Awaitable[None]] = _discard
) -> Print:
    """Read an object whose data set begins at `offset`, and pass its bytes on. Memory: one chunk. Raises `NotFound`,
    `Corrupt`, `DependencyUnavailable`."""
    reader = await store.open(key)
    try:
        whole, data_set, length = blake3(), blake3(), 0
        buffer = memoryview(bytearray(min(_CHUNK, max(1, reader.size))))
        while count := await reader.readinto([buffer]):
            chunk = buffer[:count]
            await asyncio.to_thread(_digest, whole, data_set, chunk, max(0, offset - length))
            await write(chunk)
            length += count
            await pace(count)
        return Print(length, whole.hexdigest(), f"blake3:{data_set.hexdigest()}")
    finally:
        await reader.close()


def _digest(whole: blake3, data_set: blake3, chunk: memoryview, begin: int) -> None:
    whole.update(chunk)
    data_set.update(chunk[begin:])


class TierCopier:
    """Copies between the stores of one archive."""

    def __init__(self, tiers: TieredStore, pace: Pace) -> None:
        self._tiers = tiers
        self._pace = pace

    async def bring(self, planned: PlannedObject, to: str) -> int:
        """Ensure that an intact copy of an object is in the store `to`. Returns its length. An existing copy is read
        again, and rewritten if it is not intact. Raises `Corrupt` if the object differs from what was acknowledged or
        written, `NotFound` if it does not exist, `DependencyUnavailable`."""
        places = await self._tiers.where(planned.key)
        source = next((name for name in places if name != to), None)
        if source is None and to not in places:
            raise NotFound("no such object")
        origin, target = self._tiers.stores[source or to], self._tiers.stores[to]
        # If the index does not know the offset, the object itself shows it.
        offset = planned.data_set_offset
        if offset < 0:
            offset = await data_set_offset_in(origin, planned.key)
        if source is None:
            return self._fitting(planned, await print_of(target, planned.key, offset, self._pace)).length
        if to in places and places[to].size == places[source].size:
            known = await print_of(target, planned.key, offset, self._pace)
            if known.data_set == planned.digest and known == await print_of(origin, planned.key, offset, self._pace):
                return known.length
        written = await self._copy(planned, origin, target, offset)
        if await print_of(target, planned.key, offset, self._pace) != written:
            raise Corrupt("a written copy has other bytes when it is read back")
        await reach(FailPoint.AFTER_COPY)
        try:
            await origin.stat(planned.key)
        except NotFound:
            # It was deleted for good meanwhile (`TieredStore.delete`): no copy may stay.
            await target.delete(planned.key)
            raise
        return written.length

    async def _copy(self, planned: PlannedObject, origin: BlobStore, target: BlobStore, offset: int) -> Print:
        writer = target.writer(planned.key)
        try:
            read = self._fitting(planned, await print_of(origin, planned.key, offset, self._pace, writer.write))
            await writer.commit()
        except BaseException:
            await writer.abort()
            raise
        return read

    def _fitting(self, planned: PlannedObject, read: Print) -> Print:
        if read.data_set != planned.digest:
            raise Corrupt("an object differs from what was acknowledged")
        return read
