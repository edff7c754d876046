"""Snapshots of the transactions in the object store, so that a start need not read the whole log.

    state/commitment/RECEIPT.snap: "GANTRYTXN1\\n" | 64 hexadecimal digits: BLAKE3 over the rest |
        zlib(msgpack([since_us, [UID, …], {UID: reported at}])), a UID being eight bytes of its digest

Each is complete: a snapshot and the log from its `since_us` on hold every transaction. So any snapshot will do, whoever
wrote it; if there is no snapshot, the whole log is read.
"""

from __future__ import annotations

import asyncio
import re
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
_KEY = re.compile(re.escape(ROOT) + r"[0-9a-z]+\.snap")
logger = get_logger("commitment")


def pack(snapshot: Snapshot) -> bytes:
    """The bytes of a snapshot."""
    body = zlib.compress(msgpack.packb([snapshot.since_us, sorted(snapshot.owed), dict(snapshot.reported)]), 1)
    return _MAGIC + blake3(body).hexdigest().encode("ascii") + body


def unpack(content: bytes) -> Snapshot:
    """The snapshot in the bytes; raises `Corrupt` if they are not the bytes that `pack` made."""
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
        """The newest readable snapshot, None if there is none. Raises `DependencyUnavailable`."""
        for key in reversed(await self._keys()):
            try:
                return await asyncio.to_thread(unpack, await read_whole(self._store, key))
            except NotFound:
                continue  # deleted meanwhile, since another process wrote newer snapshots
            except Corrupt as error:
                logger.error("snapshot of transactions cannot be read", key=key, error=error)
        return None

    async def write(self, snapshot: Snapshot) -> None:
        """Make a snapshot durable, and delete old ones. Raises `DependencyUnavailable`."""
        key = f"{ROOT}{Receipt.at(self._clock.now_us()).id}.snap"
        await self._store.put(key, [await asyncio.to_thread(pack, snapshot)])
        for old in (await self._keys())[:-_KEPT]:
            await self._store.delete(old)

    async def _keys(self) -> list[str]:
        return [stat.key async for stat in self._store.list(ROOT) if _KEY.fullmatch(stat.key)]
