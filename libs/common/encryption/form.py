"""The form of an encrypted object: a head of 136 bytes, then segments of 64 KiB, each with its tag of 16 bytes.

    0    mark
    16   the id of the data key
    32   salt: data key and salt give the object its own key (`segments`)
    64   zeros
    128  no "DICM", so no Part 10 file (PS3.10 7.1) is ever taken for an encrypted object
    132  version of this form

The lengths alone say how long the object is, and where each byte of it lies.
"""

from __future__ import annotations

from dataclasses import dataclass

from gantry.common.errors import Corrupt

HEAD = 136
"""Bytes before the first segment."""
SEGMENT, TAG = 64 << 10, 16
"""Bytes of a segment before it is encrypted, all but the last, and of the tag behind each."""
SALT, KEY_ID = 32, 16
_STORED = SEGMENT + TAG
_MARK = b"\x00GANTRY\x00ENCRYPT\x00"
_NO_PART_10 = b"\x00ENC"
_VERSION = 1
_PREFIX = len(_MARK)


@dataclass(frozen=True, slots=True)
class EncryptionHead:
    """What the head of an encrypted object says."""

    key_id: bytes
    salt: bytes

    def encoded(self) -> bytes:
        """Its 136 bytes."""
        before = (_MARK + self.key_id + self.salt).ljust(128, b"\0")
        return before + _NO_PART_10 + _VERSION.to_bytes(4, "big")


def read_head(begin: bytes) -> EncryptionHead | None:
    """The head of an encrypted object; None for the beginning of one that lies as it came. Raises `Corrupt` where a
    later release wrote it."""
    if len(begin) < HEAD or not begin.startswith(_MARK) or begin[128:132] != _NO_PART_10:
        return None
    version = int.from_bytes(begin[132:HEAD], "big")
    if version != _VERSION:
        raise Corrupt(f"an object is encrypted in form {version}; this release reads form {_VERSION}")
    return EncryptionHead(begin[_PREFIX : _PREFIX + KEY_ID], begin[_PREFIX + KEY_ID : _PREFIX + KEY_ID + SALT])


@dataclass(frozen=True, slots=True)
class Segments:
    """Where the bytes of an object lie, by the `size` of the object before it was encrypted."""

    size: int

    @staticmethod
    def of_stored(stored: int) -> Segments:
        """By the bytes that the encrypted object takes. Raises `Corrupt` for a length that none has."""
        body = stored - HEAD
        count = -(-body // _STORED)
        size = body - count * TAG
        if body < TAG or (count > 1 and body - (count - 1) * _STORED <= TAG):
            raise Corrupt("an encrypted object is cut off")
        return Segments(size)

    @property
    def count(self) -> int:
        """At least one: an empty object has one that is empty."""
        return max(1, -(-self.size // SEGMENT))

    @property
    def stored(self) -> int:
        """The bytes that the encrypted object takes."""
        return HEAD + self.size + self.count * TAG

    def covering(self, begin: int, end: int) -> range:
        """The segments in which the bytes from `begin` to `end` lie; the last one for the end of the object, so that
        whoever reads nothing of it has it proven nevertheless."""
        first = min(begin // SEGMENT, self.count - 1)
        return range(first, max(first + 1, -(-end // SEGMENT)))

    def place(self, number: int) -> int:
        """Where a segment begins in the encrypted object; of the number after the last one, where that ends."""
        return min(HEAD + number * _STORED, self.stored)

    def length(self, number: int) -> int:
        """The bytes of a segment before it is encrypted."""
        return min(SEGMENT, self.size - number * SEGMENT)

    def is_last(self, number: int) -> bool:
        """Whether a segment is the last one."""
        return number == self.count - 1
