"""Results of requests over HTTP, in the object store until somebody asks for them.

    state/commitment-results/DIGEST.res: "GANTRYRES1\\n" | 64 hexadecimal digits: BLAKE3 over the rest |
        zlib(msgpack([Transaction UID, [[class, instance], …] committed, [[class, instance, reason], …] failed]))

The digest in the key is that of the Transaction UID: a UID from outside is never a path.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import msgpack
from blake3 import blake3

from gantry.common.errors import Corrupt, NotFound
from gantry.common.events import CommitmentFailure, CommitmentReference, CommitmentRequested
from gantry.common.ports.blobs import BlobStore, read_whole

ROOT = "state/commitment-results/"
"""Not below the root of snapshots: who writes those lists and removes what is there."""
_MAGIC = b"GANTRYRES1\n"
_HEAD = len(_MAGIC) + 64


@dataclass(frozen=True, slots=True)
class CommitmentResult:
    """The outcome of one transaction, each instance in one of the two."""

    transaction_uid: str
    committed: tuple[CommitmentReference, ...]
    failed: tuple[CommitmentFailure, ...]


def result_of(request: CommitmentRequested, failures: Sequence[CommitmentFailure]) -> CommitmentResult:
    """What a request comes to. Pure."""
    failed = {(failure.sop_class_uid, failure.sop_instance_uid) for failure in failures}
    committed = [r for r in request.references if (r.sop_class_uid, r.sop_instance_uid) not in failed]
    return CommitmentResult(request.transaction_uid, tuple(committed), tuple(failures))


def pack(result: CommitmentResult) -> bytes:
    """The bytes of a result."""
    committed = [(r.sop_class_uid, r.sop_instance_uid) for r in result.committed]
    failed = [(f.sop_class_uid, f.sop_instance_uid, f.reason) for f in result.failed]
    body = zlib.compress(msgpack.packb([result.transaction_uid, committed, failed]), 1)
    return _MAGIC + blake3(body).hexdigest().encode("ascii") + body


def unpack(content: bytes) -> CommitmentResult:
    """The result in the bytes; raises `Corrupt` if they are not the bytes that `pack` made."""
    body = content[_HEAD:]
    if not content.startswith(_MAGIC) or blake3(body).hexdigest().encode("ascii") != content[len(_MAGIC) : _HEAD]:
        raise Corrupt("a result of storage commitment is not what was written")
    uid, committed, failed = msgpack.unpackb(zlib.decompress(body))
    return CommitmentResult(
        uid, tuple(CommitmentReference(*row) for row in committed), tuple(CommitmentFailure(*row) for row in failed)
    )


class Results:
    """The results of an installation."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store

    async def write(self, request: CommitmentRequested, failures: Sequence[CommitmentFailure]) -> None:
        """Make a result durable. Raises `DependencyUnavailable`."""
        content = await asyncio.to_thread(pack, result_of(request, failures))
        await self._store.put(_key(request.transaction_uid), [content])

    async def read(self, transaction_uid: str) -> CommitmentResult | None:
        """The result of a transaction, None if there is none. Raises `DependencyUnavailable` and `Corrupt`."""
        try:
            return await asyncio.to_thread(unpack, await read_whole(self._store, _key(transaction_uid)))
        except NotFound:
            return None


def _key(transaction_uid: str) -> str:
    return f"{ROOT}{blake2b(transaction_uid.encode(), digest_size=16).hexdigest()}.res"
