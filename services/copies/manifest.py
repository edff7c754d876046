"""The keys of the copies of a link, and the list of them, which is written last (pure).

shared-copies/LINK/RECEIPT.dcm    a copy, as a Part 10 file
shared-copies/LINK/manifest       all of them
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgpack
from blake3 import blake3

from gantry.common.errors import Corrupt, UndecodableEvent
from gantry.common.events import InstanceStored, decode, encode
from gantry.common.ids import Receipt

ROOT = "shared-copies/"
_MAGIC = b"GANTRYCOPIES1\n"
_HEAD = len(_MAGIC) + 64


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy; `origin` is the key of the object that it was made of."""

    origin: str
    stored: InstanceStored


def folder_of(share: str) -> str:
    """The prefix of the keys of a link."""
    return f"{ROOT}{share}/"


def manifest_key(share: str) -> str:
    """The key of the list."""
    return f"{folder_of(share)}manifest"


def receipt_of(share: str, number: int, at_us: int) -> Receipt:
    """The receipt of a copy: the same if copying was interrupted and begins again. Nothing depends on it."""
    return Receipt(f"{at_us // 1000:012x}{blake3(f'{share} {number}'.encode()).hexdigest()[:20]}")


def copy_key(share: str, receipt: Receipt) -> str:
    """The key of a copy."""
    return f"{folder_of(share)}{receipt.id}.dcm"


def pack(copies: Sequence[Copy]) -> bytes:
    """The list as bytes."""
    body = zlib.compress(msgpack.packb([(copy.origin, encode(copy.stored)) for copy in copies]), 1)
    return _MAGIC + blake3(body).hexdigest().encode("ascii") + body


def unpack(content: bytes) -> list[Copy]:
    """The list in the bytes. Raises `Corrupt` if they are not those that `pack` made."""
    body = content[_HEAD:]
    if not content.startswith(_MAGIC) or blake3(body).hexdigest().encode("ascii") != content[len(_MAGIC) : _HEAD]:
        raise Corrupt("the list of what a link shows is not what was written")
    copies = []
    for origin, payload in msgpack.unpackb(zlib.decompress(body)):
        try:
            event = decode(payload)
        except UndecodableEvent as error:
            raise Corrupt("the list of what a link shows is of a newer release") from error
        if isinstance(event, InstanceStored):
            copies.append(Copy(origin, event))
    return copies
