"""What is known of transactions, kept in the object store, so that nobody has to read the whole log to know it.

    state/commitment/RECEIPT.snap: "GANTRYTXN1\\n" | 64 hexadecimal digits: BLAKE3 over the rest |
        zlib(msgpack([since_us, [UID, …], {UID: reported at}])), a UID being eight bytes of its digest

Each is complete by itself: a snapshot and what the log has from its `since_us` on are everything. So it does not matter
which one is read, nor who wrote it; without any, the whole log is.
"""

from __future__ import annotations

import asyncio
import zlib

import msgpack
from blake3 import blake3

from gantry.common.clock import Clock
from gantry.common.errors import Corrupt, NotFound
from gantry.common.ids import Receipt
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.telemetry.logs import get_logger
from gantry.services.commitment.transactions import Snapshot

ROOT = "state/commitment/"
_MAGIC = b"GANTRYTXN1\n"
_HEAD = len(_MAGIC) + 64
_KEPT = 3
logger = get_logger("commitment")


def pack(snapshot: Snapshot) -> bytes:
    """The bytes of a snapshot."""
    body = zlib.compress(msgpack.packb([snapshot.since_us, sorted(snapshot.owed), dict(snapshot.reported)]), 1)
    return _MAGIC + blake3(body).hexdigest().encode("ascii") + body


def unpack(content: bytes) -> Snapshot:
    """What they say; raises `Corrupt` where they are not what was packed."""
    body = content[_HEAD:]
    if not content.startswith(_MAGIC) or blake3(body).hexdigest().encode("ascii") != content[len(_MAGIC) : _HEAD]:
        raise Corrupt("a snapshot of transactions is not what was written")
    since_us, owed, reported = msgpack.unpackb(zlib.decompress(body), strict_map_key=False)
    return Snapshot(since_us, frozenset(owed), reported)


class Snapshots:
    """The snapshots of an installation."""

    def __init__(self, store: BlobStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def latest(self) -> Snapshot | None:
        """The newest one that can be read. Raises `DependencyUnavailable`."""
        for key in reversed(await self._keys()):
            try:
                return await asyncio.to_thread(unpack, await read_whole(self._store, key))
            except NotFound:
                continue  # somebody wrote newer ones meanwhile
            except Corrupt as error:
                logger.error("snapshot of transactions cannot be read", key=key, error=error)
        return None

    async def write(self, snapshot: Snapshot) -> None:
        """Make it durable, and remove old ones. Raises `DependencyUnavailable`."""
        key = f"{ROOT}{Receipt.at(self._clock.now_us()).id}.snap"
        await self._store.put(key, [await asyncio.to_thread(pack, snapshot)])
        for old in (await self._keys())[:-_KEPT]:
            await self._store.delete(old)

    async def _keys(self) -> list[str]:
        return [stat.key async for stat in self._store.list(ROOT)]
