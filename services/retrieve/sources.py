"""Data sets as streams: verified while they are read, inflated, rewritten in another encoding. Memory use does not
depend on their length."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from struct import Struct
from typing import Protocol

from blake3 import blake3

from gantry.common.dicom.encoding.rewriting import swapped
from gantry.common.errors import Corrupt
from gantry.common.net import Source
from gantry.services.retrieve.threads import give_way, in_thread

CHUNK = 1 << 18
_INFLATED = 1 << 20
_DIGEST = "blake3:"


class BytesSource:
    """Bytes in memory as a source."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data)

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        done = 0
        for buffer in buffers:
            part = self._data[: len(buffer)]
            if not part:
                break
            buffer[: len(part)] = part
            self._data = self._data[len(part) :]
            done += len(part)
        return done

    async def close(self) -> None:
        self._data = memoryview(b"")


class LocationDigest:
    """`Location.digest` of bytes as they pass. A digest of an unknown algorithm is not compared."""

    def __init__(self, expected: str) -> None:
        self._expected = expected.removeprefix(_DIGEST) if expected.startswith(_DIGEST) else None
        self._blake3 = blake3()

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Add the next bytes, at 3 GB per second."""
        if self._expected is not None:
            self._blake3.update(data)

    @property
    def fits(self) -> bool:
        """Whether the bytes read are those that were acknowledged."""
        return self._expected in (None, self._blake3.hexdigest())


class DamageSeen(Protocol):
    """Called once when a source turns out to be damaged; returns the error to raise."""

    def __call__(self, reason: str) -> Corrupt: ...


class VerifiedSource:
    """`length` bytes of a source, of which the last ones are returned only if the digest of all of them agrees: a
    reader never gets a whole object that is damaged. Raises the error that `seen` returns."""

    def __init__(self, source: Source, length: int, digest: str, seen: DamageSeen) -> None:
        self._source = source
        self._left = length
        self._digest = LocationDigest(digest)
        self._seen = seen

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """Fill the buffers in order; 0 at the end."""
        if not self._left:
            return 0
        views, room = [], self._left
        for buffer in buffers:
            views.append(buffer[:room])
            room -= len(views[-1])
        count = await self._source.readinto([view for view in views if view])
        if not count:
            raise self._seen("size")
        self._left -= count
        self._take(views, count)
        if not self._left and not self._digest.fits:
            for view in views:
                view[:] = bytes(len(view))
            raise self._seen("digest")
        await give_way()
        return count

    def _take(self, views: Sequence[memoryview], count: int) -> None:
        for view in views:
            self._digest.update(view[:count])
            count -= min(count, len(view))

    async def close(self) -> None:
        """Close the underlying source."""
        await self._source.close()


class InflatedSource:
    """The inflated bytes of a deflated data set (PS3.5 A.5), in one pass, from `offset` on; inflated in a thread."""

    def __init__(self, source: Source, offset: int = 0, length: int | None = None) -> None:
        self._source = source
        self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        self._buffer = memoryview(bytearray(CHUNK))
        self._rest = b""
        self._piece = memoryview(b"")
        self._to_skip = offset
        self._left = length

    async def skip(self) -> None:
        """Skip the bytes before the offset. Raises `Corrupt` if there are fewer."""
        while self._to_skip:
            if not await self._more():
                raise Corrupt("a deflated object is shorter than it was")
            passed = min(self._to_skip, len(self._piece))
            self._piece, self._to_skip = self._piece[passed:], self._to_skip - passed

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """Fill the buffers in order; 0 at the end. Raises `Corrupt` if the bytes are not deflated."""
        await self.skip()
        done = 0
        for whole in buffers:
            buffer = whole if self._left is None else whole[: self._left]
            while buffer:
                if not self._piece and not await self._more():
                    return done
                count = min(len(buffer), len(self._piece))
                buffer[:count] = self._piece[:count]
                buffer, self._piece = buffer[count:], self._piece[count:]
                done += count
                self._left = None if self._left is None else self._left - count
        return done

    async def _more(self) -> bool:
        """Inflate the next piece; False at the end."""
        while not self._zlib.eof:
            chunk = self._rest
            if not chunk:
                count = await self._source.readinto([self._buffer])
                chunk = bytes(self._buffer[:count])
            if not chunk:
                return False
            try:
                piece = await in_thread(self._zlib.decompress, chunk, _INFLATED)
            except zlib.error as error:
                raise Corrupt("an object is not deflated any more") from error
            self._rest = self._zlib.unconsumed_tail
            if piece:
                self._piece = memoryview(piece)
                return True
        return False

    async def drain(self) -> None:
        """Read the padding after the end of the deflated stream, which the digest covers."""
        while await self._source.readinto([self._buffer]):
            pass

    async def close(self) -> None:
        """Close the underlying source."""
        await self._source.close()


_STORED_BLOCK = 0xFFFF
_BLOCK = Struct("<?HH")
"""The head of a stored block: whether it is the last one, its length, and the complement of that."""


def deflated_length(length: int) -> int:
    """The bytes of a `DeflatedSource` over `length` bytes."""
    blocks = max(1, -(-length // _STORED_BLOCK))
    return length + 5 * blocks + (length + 5 * blocks) % 2


class DeflatedSource:
    """A deflated data set (PS3.5 A.5) in stored blocks (RFC 1951 3.2.4), whose length is known before they are read;
    with a trailing zero where that would be odd."""

    def __init__(self, source: Source, length: int) -> None:
        """`source` has `length` bytes."""
        self._source = source
        self._left = length
        self._blocks = max(1, -(-length // _STORED_BLOCK))
        self._odd = (length + 5 * self._blocks) % 2
        self._part: Source = BytesSource(b"")

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """Fill the buffers in order; 0 at the end."""
        done = 0
        for whole in buffers:
            buffer = whole
            while buffer:
                count = await self._part.readinto([buffer])
                if not count and not self._next():
                    return done
                buffer, done = buffer[count:], done + count
        return done

    def _next(self) -> bool:
        if not self._blocks:
            return False
        self._blocks -= 1
        length = min(self._left, _STORED_BLOCK)
        self._left -= length
        head = BytesSource(
            bytes([not self._blocks]) + length.to_bytes(2, "little") + (~length & 0xFFFF).to_bytes(2, "little")
        )
        end = BytesSource(b"" if self._blocks else b"\0" * self._odd)
        self._part = JoinedSource([head, LimitedSource(self._source, length), end])
        return True

    async def close(self) -> None:
        """Close the underlying source."""
        await self._source.close()


class SwappedSource:
    """Numbers of `width` bytes in the other byte order (PS3.5 7.3)."""

    def __init__(self, source: Source, width: int) -> None:
        self._source = source
        self._width = width
        self._buffer = memoryview(bytearray(CHUNK - CHUNK % width))
        self._turned = memoryview(b"")

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """Fill the buffers in order; 0 at the end."""
        done = 0
        for buffer in buffers:
            while buffer:
                if not self._turned and not await self._more():
                    return done
                count = min(len(buffer), len(self._turned))
                buffer[:count] = self._turned[:count]
                buffer, self._turned = buffer[count:], self._turned[count:]
                done += count
        return done

    async def _more(self) -> bool:
        filled = 0
        while filled < len(self._buffer):
            count = await self._source.readinto([self._buffer[filled:]])
            if not count:
                break
            filled += count
        # Swapping a quarter of a megabyte takes 15 microseconds: less than a thread costs.
        self._turned = memoryview(swapped(self._buffer[:filled], self._width))
        return filled > 0

    async def close(self) -> None:
        """Close the underlying source."""
        await self._source.close()


class BitsSource:
    """`bits` single bits of a source, beginning at bit `first` of its first byte, repacked from the lowest bit (PS3.5
    8.1.1, D.1)."""

    def __init__(self, source: Source, first: int, bits: int) -> None:
        self._source = source
        self._first = first
        self._left = bits
        self._held = b""

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """Fill the buffers in order; 0 at the end."""
        done = 0
        for buffer in buffers:
            while buffer and self._left:
                packed = await self._packed(min(len(buffer), CHUNK))
                if not packed:
                    return done
                buffer[: len(packed)] = packed
                buffer, done = buffer[len(packed) :], done + len(packed)
        return done

    async def _packed(self, most: int) -> bytes:
        bits = min(self._left, 8 * most)
        wanted = -(-(self._first + bits) // 8)
        chunk = memoryview(bytearray(wanted))
        chunk[: len(self._held)] = self._held
        filled = len(self._held)
        while filled < wanted:
            count = await self._source.readinto([chunk[filled:]])
            if not count:
                raise Corrupt("an object is shorter than it was")
            filled += count
        # Bytes of a long number are shifted together, in time that grows with their count.
        number = (int.from_bytes(chunk, "little") >> self._first) & ((1 << bits) - 1)
        self._held = bytes(chunk[-1:]) if (self._first + bits) % 8 else b""
        self._first = (self._first + bits) % 8
        self._left -= bits
        return number.to_bytes(-(-bits // 8), "little")

    async def close(self) -> None:
        """Close the underlying source."""
        await self._source.close()


class JoinedSource:
    """Sources one after the other."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = list(sources)

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """Fill the buffers in order; 0 at the end of the last source."""
        done, rest = 0, [buffer for buffer in buffers if buffer]
        while self._sources and rest:
            count = await self._sources[0].readinto(rest)
            if not count:
                await self._sources.pop(0).close()
                continue
            done += count
            rest = _behind(rest, count)
        return done

    async def close(self) -> None:
        """Close all sources."""
        while self._sources:
            await self._sources.pop(0).close()


def _behind(buffers: Sequence[memoryview], count: int) -> list[memoryview]:
    rest = []
    for buffer in buffers:
        passed = min(count, len(buffer))
        count -= passed
        if passed < len(buffer):
            rest.append(buffer[passed:])
    return rest


class LimitedSource:
    """The next `length` bytes of a longer source. The opener of that source closes it."""

    def __init__(self, source: Source, length: int) -> None:
        self._source = source
        self._left = length

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        views, room = [], self._left
        for buffer in buffers:
            if room:
                views.append(buffer[:room])
                room -= len(views[-1])
        count = await self._source.readinto(views) if views else 0
        self._left -= count
        return count

    async def close(self) -> None:
        return None


class Positioned:
    """A source that knows its position, and can skip forward."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._at = 0

    async def go_to(self, offset: int) -> None:
        """Skip to `offset`. Raises `Corrupt` if the position is beyond it."""
        if offset < self._at:
            raise Corrupt("fragments are not in order")
        await pass_over(self._source, offset - self._at)
        self._at = offset

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """The next bytes."""
        count = await self._source.readinto(buffers)
        self._at += count
        return count

    async def close(self) -> None:
        """Close the underlying source."""
        await self._source.close()


class FragmentsSource:
    """The fragments of a frame, by offset and length, one after the other. The opener of the reader closes it."""

    def __init__(self, reader: Positioned, fragments: Sequence[tuple[int, int]]) -> None:
        self._reader = reader
        self._fragments = list(fragments)

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        done = 0
        for buffer in buffers:
            while buffer and self._fragments:
                offset, length = self._fragments[0]
                if not length:
                    self._fragments.pop(0)
                    continue
                await self._reader.go_to(offset)
                count = await self._reader.readinto([buffer[:length]])
                if not count:
                    return done
                self._fragments[0] = offset + count, length - count
                buffer, done = buffer[count:], done + count
        return done

    async def close(self) -> None:
        return None


async def pass_over(source: Source, count: int) -> None:
    """Read and discard `count` bytes. Raises `Corrupt` if there are fewer."""
    buffer = memoryview(bytearray(min(CHUNK, max(count, 1))))
    while count:
        passed = await source.readinto([buffer[: min(len(buffer), count)]])
        if not passed:
            raise Corrupt("an object is shorter than it was")
        count -= passed


async def read_exactly(source: Source, length: int) -> bytes:
    """The next `length` bytes, for lengths known to be small. Raises `Corrupt` if there are fewer."""
    return bytes(await read_buffer(source, length))


async def read_buffer(source: Source, length: int) -> bytearray:
    """As `read_exactly`, without copying them once more."""
    data = bytearray(length)
    filled = 0
    while filled < length:
        count = await source.readinto([memoryview(data)[filled:]])
        if not count:
            raise Corrupt("an object is shorter than it was")
        filled += count
    return data
