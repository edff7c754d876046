"""A sealed segment: facts of the log as one immutable object of the bucket.

    "GANTRYSEG1\\n" | 64 hexadecimal digits: BLAKE3 over the rest | zlib(msgpack([[topic, key, appended_at, payload]]))

Written once and read for ever (golden file in tests/compat). The order of the records is that of the log for records
with the same key.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgpack
from blake3 import blake3

from gantry.common.errors import Corrupt

_MAGIC = b"GANTRYSEG1\n"
_HEAD = len(_MAGIC) + 64
_LEVEL = 1
"""Headers shrink to a third at this level, and to hardly less at four times the processor time."""


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record of the log, whatever its offset was: `payload` is what `gantry.common.events.decode` reads."""

    topic: str
    key: str
    appended_at: int
    payload: bytes


def seal(records: Sequence[SealedRecord]) -> bytes:
    """The bytes of a segment."""
    packed = msgpack.packb([[r.topic, r.key, r.appended_at, r.payload] for r in records])
    body = zlib.compress(packed, _LEVEL)
    return _MAGIC + blake3(body).hexdigest().encode("ascii") + body


def unseal(segment: bytes) -> list[SealedRecord]:
    """The records of a segment; raises `Corrupt` where it is not what was sealed."""
    body = segment[_HEAD:]
    if not segment.startswith(_MAGIC) or blake3(body).hexdigest().encode("ascii") != segment[len(_MAGIC) : _HEAD]:
        raise Corrupt("a segment in the object store is not what was sealed")
    return [SealedRecord(*row) for row in msgpack.unpackb(zlib.decompress(body))]
