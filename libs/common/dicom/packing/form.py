"""The format of a packed object: `HEAD`, the blocks one after the other, the table of blocks, `TAIL`.

The table is at the end, since an object is packed while it passes by. A packed object is recognised by its first bytes:
a Part 10 file (PS3.10 7.1) has a prefix where a packed object has zeros.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate
from struct import Struct
from typing import NamedTuple
from zlib import crc32

import msgpack

from gantry.common.dicom.encoding.part10 import PREAMBLE_LENGTH
from gantry.common.errors import Corrupt

_MAGIC = b"GANTRYPACK1\n"
HEAD = _MAGIC.ljust(PREAMBLE_LENGTH + 8, b"\0")
"""The first bytes of a packed object."""
_END = b"GANTRYPACK"
_TAIL = Struct(f"<II{len(_END)}s")
TAIL = _TAIL.size
"""Bytes after the table: its length, its checksum, and a magic word."""
_MOST = 64 << 20
"""Most bytes of a table."""


class Coding(IntEnum):
    """How the bytes of a block are written. Numbers are stored: they are never reused with another meaning."""

    PLAIN = 0
    DEFLATED = 1
    """zlib (RFC 1950)."""
    JPEG_LS = 2


class Block(NamedTuple):
    """A piece of an object. `length` is its number of bytes in the object, `stored` that in the packed one; `checksum`
    is the CRC-32 of the former. For samples coded as JPEG-LS, `width` is the bytes of each, and `least` the value
    subtracted from all of them."""

    coding: Coding
    length: int
    stored: int
    checksum: int
    width: int = 0
    least: int = 0


@dataclass(frozen=True, slots=True)
class BlockTable:
    """The blocks of an object in order. `begins` are their offsets in the object, and `places` those in the packed one,
    both followed by the end."""

    blocks: tuple[Block, ...]
    begins: tuple[int, ...]
    places: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return self.begins[-1]

    def covering(self, offset: int, length: int) -> range:
        """The blocks that contain `length` bytes from `offset`; empty if there are no such bytes."""
        end = min(offset + length, self.size)
        if offset >= end:
            return range(0)
        return range(bisect_right(self.begins, offset) - 1, bisect_right(self.begins, end - 1))


def table_of(blocks: Sequence[Block]) -> BlockTable:
    """The table of some blocks."""
    return BlockTable(
        tuple(blocks),
        tuple(accumulate((block.length for block in blocks), initial=0)),
        tuple(accumulate((block.stored for block in blocks), initial=len(HEAD))),
    )


def is_packed(head: bytes) -> bool:
    """Whether an object that begins with these `len(HEAD)` bytes, or fewer if it is shorter, is a packed one."""
    return head == HEAD


def begins_alike(head: bytes) -> bool:
    """Whether bytes begin like a packed object: an object that is stored unchanged must not."""
    return head.startswith(_MAGIC)


def write_table(blocks: Sequence[Block]) -> bytes:
    """The table and the tail: what follows the last block."""
    table: bytes = msgpack.packb([tuple(block) for block in blocks])
    return table + _TAIL.pack(len(table), crc32(table), _END)


def table_length(tail: bytes) -> int:
    """The length of the table before the last `TAIL` bytes of a packed object. Raises `Corrupt`."""
    if len(tail) == TAIL:
        length, _, end = _TAIL.unpack(tail)
        if end == _END and length <= _MOST:
            return int(length)
    raise Corrupt("a packed object is cut off")


def read_table(end: bytes, size: int) -> BlockTable:
    """The table in the last bytes of a packed object of `size` bytes. Raises `Corrupt` if it is damaged."""
    length = table_length(end[-TAIL:])
    table = end[-TAIL - length : -TAIL]
    if len(table) != length or crc32(table) != _TAIL.unpack(end[-TAIL:])[1]:
        raise Corrupt("the table of a packed object is damaged")
    try:
        blocks = [Block(Coding(coding), *numbers) for coding, *numbers in msgpack.unpackb(table)]
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise Corrupt("the table of a packed object is damaged") from error
    read = table_of(blocks)
    if read.places[-1] + length + TAIL != size:
        raise Corrupt("a packed object is cut off")
    return read
