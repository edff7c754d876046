"""Writes one object: cut into segments, each encrypted as soon as it is complete."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence

from gantry.common.encryption.form import SALT, SEGMENT, TAG, EncryptionHead
from gantry.common.encryption.segments import ObjectCipher
from gantry.common.ports.blobs import BlobWriter, Buffer
from gantry.common.runtime.encrypted.keys import DataKeys

_AT_ONCE = 16
"""Segments that are encrypted together: a megabyte, a third of a millisecond."""
_ROOM = (1 << 20) + (128 << 10)
"""Bytes of a buffer: what ingest writes at once, a megabyte and its head, and the tags."""
_MOST_FREE = 16


class SegmentWriter:
    """The segments of one object, in turn."""

    def __init__(self, key_id: bytes, data_key: bytes, place: str) -> None:
        self.head = EncryptionHead(key_id, secrets.token_bytes(SALT))
        self._cipher = ObjectCipher(data_key, self.head, place)
        self._number = 0
        self._room = bytearray()

    def seal(self, plain: memoryview, *, last: bool) -> memoryview:
        """Encrypt complete segments, or with `last` the rest of the object; the result is valid until the next call."""
        count = max(1, -(-len(plain) // SEGMENT)) if last else len(plain) // SEGMENT
        length = len(plain) + count * TAG
        if len(self._room) < length:
            self._room = bytearray(length)
        into = memoryview(self._room)[:length]
        for at in range(count):
            piece = plain[at * SEGMENT : (at + 1) * SEGMENT]
            begin = at * (SEGMENT + TAG)
            self.segment(piece, into[begin : begin + len(piece) + TAG], last=last and at == count - 1)
        return into

    def segment(self, plain: memoryview, into: memoryview, *, last: bool) -> None:
        """Encrypt the next segment into a buffer of its length and that of its tag."""
        self._cipher.seal(self._number, plain, into, last=last)
        self._number += 1


class BufferPool:
    """Reused buffers for objects that are encrypted whole: memory fresh from the kernel costs more than encrypting into
    it."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def take(self, length: int) -> bytearray:
        """A buffer of `length` bytes or more."""
        if self._free and length <= _ROOM:
            return self._free.pop()
        return bytearray(max(length, _ROOM))

    def give_back(self, room: bytearray) -> None:
        """Release a buffer that is no longer read."""
        if len(self._free) < _MOST_FREE and len(room) == _ROOM:
            self._free.append(room)


def sealed_whole(sealing: SegmentWriter, parts: Sequence[Buffer], room: bytearray) -> list[Buffer]:
    """Encrypt an object that is in memory, into `room`, which must have `Segments.stored` bytes."""
    left = sum(memoryview(part).nbytes for part in parts)
    at = 0
    for piece in _segments(parts):
        left -= len(piece)
        into = memoryview(room)[at : at + len(piece) + TAG]
        sealing.segment(piece, into, last=not left)
        at += len(into)
    return [sealing.head.encoded(), memoryview(room)[:at]]


def _segments(parts: Sequence[Buffer]) -> Iterator[memoryview]:
    """The segments of an object; bytes are copied only where one part ends and the next one begins."""
    begun = bytearray()
    is_any = False
    for part in parts:
        rest = memoryview(part)
        if begun:
            fill = rest[: SEGMENT - len(begun)]
            begun += fill
            rest = rest[len(fill) :]
            if len(begun) < SEGMENT:
                continue
            yield memoryview(begun)
            is_any, begun = True, bytearray()
        while len(rest) >= SEGMENT:
            yield rest[:SEGMENT]
            is_any, rest = True, rest[SEGMENT:]
        begun = bytearray(rest)
    if begun or not is_any:
        yield memoryview(begun)


class EncryptedWriter:
    """`BlobWriter` over that of the store below."""

    def __init__(self, inner: BlobWriter, keys: DataKeys, place: str, written: Callable[[], None]) -> None:
        """`written` is called when the object is about to become visible, and when it is."""
        self._inner = inner
        self._keys = keys
        self._place = place
        self._written = written
        self._sealing: SegmentWriter | None = None
        self._left = bytearray()
        """Bytes that are not in a segment yet: at most one segment, which may be the last."""

    async def write(self, chunk: Buffer) -> None:
        """As the port has it."""
        sealing = await self._begun()
        rest = memoryview(chunk)
        if self._left:
            fill, rest = rest[: SEGMENT - len(self._left)], rest[SEGMENT - len(self._left) :]
            self._left += fill
            if not rest:
                return
            await self._inner.write(sealing.seal(memoryview(self._left), last=False))
            self._left = bytearray()
        # The last segment is marked as such: whether more will come is not known yet.
        while len(rest) > SEGMENT:
            count = min(_AT_ONCE, (len(rest) - 1) // SEGMENT)
            await self._inner.write(sealing.seal(rest[: count * SEGMENT], last=False))
            rest = rest[count * SEGMENT :]
        self._left = bytearray(rest)

    async def commit(self) -> None:
        """As the port has it."""
        sealing = await self._begun()
        await self._inner.write(sealing.seal(memoryview(self._left), last=True))
        self._written()
        await self._inner.commit()
        self._written()

    async def abort(self) -> None:
        """As the port has it."""
        await self._inner.abort()

    async def _begun(self) -> SegmentWriter:
        if self._sealing is None:
            self._sealing = SegmentWriter(*await self._keys.newest(), self._place)
            await self._inner.write(self._sealing.head.encoded())
        return self._sealing
