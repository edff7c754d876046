"""Reads one encrypted object."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.encryption.form import SEGMENT, Segments
from gantry.common.encryption.segments import ObjectCipher
from gantry.common.errors import Corrupt
from gantry.common.ports.blobs import BlobReader

_NOTHING = memoryview(b"")
AT_ONCE = 16
"""Segments that are read together, a megabyte: the memory of one open object."""


class EncryptedReader:
    """`BlobReader` of the bytes from `begin` to `end` of an object. It closes `stored`, which is positioned at the
    first segment that contains them, or after the bytes of it that were read already."""

    def __init__(
        self,
        stored: BlobReader,
        segments: Segments,
        cipher: ObjectCipher,
        begin: int,
        end: int,
        read: memoryview = _NOTHING,
    ) -> None:
        self.size = segments.size
        self._stored = stored
        self._segments = segments
        self._cipher = cipher
        covering = segments.covering(begin, end)
        self._next, self._behind = covering.start, covering.stop
        self._skip = begin - covering.start * SEGMENT
        self._left = max(0, end - begin)
        self._read = read
        self._sealed, self._fetched = _NOTHING, covering.start
        self._plain = _NOTHING

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """As the port has it. Raises `Corrupt`, `DependencyUnavailable`."""
        done = 0
        for buffer in buffers:
            while len(buffer) and self._left:
                if not self._plain:
                    if self._next == self._fetched:
                        await self._fetch()
                    count = self._open_into(buffer)
                else:
                    count = min(len(buffer), len(self._plain), self._left)
                    buffer[:count] = self._plain[:count]
                    self._plain = self._plain[count:]
                buffer = buffer[count:]
                self._left -= count
                done += count
        if not self.size and self._next < self._behind:
            await self._fetch()  # an empty object has a segment, too, which authenticates it
            self._open(bytearray())
        return done

    async def close(self) -> None:
        """As the port has it."""
        await self._stored.close()

    async def _fetch(self) -> None:
        """Read more of the stored bytes."""
        first, behind = self._next, min(self._next + AT_ONCE, self._behind)
        length = self._segments.place(behind) - self._segments.place(first)
        sealed = self._read[:length]
        if len(sealed) < length:
            whole = memoryview(bytearray(length))
            whole[: len(sealed)] = sealed
            if await self._stored.readinto([whole[len(sealed) :]]) < length - len(sealed):
                raise Corrupt("an encrypted object is cut off")
            sealed = whole
        self._read = self._read[length:]
        self._sealed, self._fetched = sealed, behind

    def _open_into(self, buffer: memoryview) -> int:
        """Decrypt the next segment: into the buffer if it fits, otherwise aside. Returns how many bytes are in the
        buffer."""
        size = self._segments.length(self._next)
        if not self._skip and size <= min(len(buffer), self._left):
            self._open(buffer[:size])
            return size
        plain = bytearray(size)
        self._open(plain)
        self._plain, self._skip = memoryview(plain)[self._skip :], 0
        return 0

    def _open(self, into: memoryview | bytearray) -> None:
        number = self._next
        length = self._segments.place(number + 1) - self._segments.place(number)
        self._cipher.open(number, self._sealed[:length], memoryview(into), last=self._segments.is_last(number))
        self._sealed, self._next = self._sealed[length:], number + 1


def opened(cipher: ObjectCipher, segments: Segments, numbers: range, sealed: memoryview) -> bytearray:
    """Decrypt consecutive segments. Raises `Corrupt`."""
    first, begin = segments.place(numbers.start), numbers.start * SEGMENT
    plain = bytearray(min(numbers.stop * SEGMENT, segments.size) - begin)
    into = memoryview(plain)
    for number in numbers:
        piece = sealed[segments.place(number) - first : segments.place(number + 1) - first]
        room = into[number * SEGMENT - begin : (number + 1) * SEGMENT - begin]
        cipher.open(number, piece, room, last=segments.is_last(number))
    return plain


class Continued:
    """`BlobReader` of the part of an object that was read already, and of the rest."""

    def __init__(self, begin: memoryview, rest: BlobReader, bounds: tuple[int, int]) -> None:
        """`bounds` are those of the part to return, if `rest` was opened for more."""
        self.size = rest.size
        self._begin = begin
        self._rest = rest
        self._left = bounds[1] - bounds[0]

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """As the port has it."""
        done = 0
        for buffer in buffers:
            wanted = buffer[: self._left]
            taken = min(len(wanted), len(self._begin))
            wanted[:taken] = self._begin[:taken]
            self._begin = self._begin[taken:]
            if len(wanted) > taken:
                taken += await self._rest.readinto([wanted[taken:]])
            self._left -= taken
            done += taken
            if taken < len(buffer):
                break
        return done

    async def close(self) -> None:
        """As the port has it."""
        await self._rest.close()
