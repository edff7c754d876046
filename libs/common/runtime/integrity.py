"""Whether an object still has the bytes that were acknowledged: they are read again and their digest is compared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from enum import StrEnum

from blake3 import blake3

from gantry.common.dicom.encoding.part10 import MAX_META_LENGTH, needed, parse_meta
from gantry.common.errors import Corrupt, NotFound, NotUnderstood
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import Location

_CHUNK = 1 << 20

Pace = Callable[[int], Awaitable[None]]
"""Called with the number of bytes read; returns when more may be read."""


class Damage(StrEnum):
    """What is wrong with an object."""

    MISSING = "missing"
    DAMAGED = "damaged"


async def _at_once(_: int) -> None:
    return


async def examine(
    store: BlobStore, location: Location, workers: Executor | None = None, pace: Pace = _at_once
) -> Damage | None:
    """None if the data set is the one that was acknowledged. Memory: one chunk; digests are computed in `workers`.
    Raises `DependencyUnavailable` if the store is unavailable."""
    loop = asyncio.get_running_loop()
    try:
        reader = await store.open(location.object_key, location.data_set_offset, location.data_set_length)
    except NotFound:
        return Damage.MISSING
    except Corrupt:
        return Damage.DAMAGED
    try:
        digest, length = blake3(), 0
        buffer = bytearray(min(_CHUNK, max(1, location.data_set_length)))
        while count := await reader.readinto([memoryview(buffer)]):
            await loop.run_in_executor(workers, digest.update, memoryview(buffer)[:count])
            length += count
            await pace(count)
    except NotFound:
        return Damage.MISSING
    except Corrupt:
        return Damage.DAMAGED
    finally:
        await reader.close()
    same = length == location.data_set_length and f"blake3:{digest.hexdigest()}" == location.digest
    return None if same else Damage.DAMAGED


async def data_set_offset_in(store: BlobStore, key: str) -> int:
    """Where the data set of an object begins, according to the object. Raises `NotFound`, `Corrupt` if it is no longer
    a DICOM file, `DependencyUnavailable`."""
    reader = await store.open(key, 0, MAX_META_LENGTH + 1024)
    try:
        head = bytearray(min(reader.size, MAX_META_LENGTH + 1024))
        filled = await reader.readinto([memoryview(head)])
        needed(bytes(head[:filled]))
        return parse_meta(bytes(head[:filled])).data_set_offset
    except NotUnderstood as error:
        raise Corrupt("an object is no DICOM file any more") from error
    finally:
        await reader.close()
