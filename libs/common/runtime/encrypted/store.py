"""The store: encrypts on writing and decrypts on reading, over another store."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gantry.common.encryption.data_keys import ROOT
from gantry.common.encryption.form import HEAD, SEGMENT, EncryptionHead, Segments, read_head
from gantry.common.encryption.segments import ObjectCipher
from gantry.common.errors import Archived
from gantry.common.ports.blobs import BlobReader, BlobStat, BlobStore, BlobWriter, Buffer, Part
from gantry.common.runtime.encrypted.keys import DataKeys
from gantry.common.runtime.encrypted.reading import AT_ONCE, Continued, EncryptedReader, opened
from gantry.common.runtime.encrypted.writing import BufferPool, EncryptedWriter, SegmentWriter, sealed_whole
from gantry.common.tasks import end_tasks

_MOST_KNOWN = 16384
_AT_ONCE = 32
_AHEAD = Segments(AT_ONCE * SEGMENT).stored
"""Bytes that are read with the head, from the beginning of an object at its first use."""


@dataclass(frozen=True, slots=True)
class EncryptedLayout:
    """The layout of an encrypted object."""

    head: EncryptionHead
    segments: Segments


class EncryptedStore:
    """`BlobStore` over `inner`, which holds encrypted objects, and plain ones from before objects were encrypted.
    `list` returns the stored size of an object; everything else is about the original object."""

    def __init__(self, inner: BlobStore, keys: DataKeys) -> None:
        self._inner = inner
        self.keys = keys
        self._rooms = BufferPool()
        self._known: OrderedDict[str, EncryptedLayout | None] = OrderedDict()
        """None for a plain object."""

    async def put(self, key: str, parts: Sequence[Buffer]) -> None:
        sealing = SegmentWriter(*await self.keys.newest(), key)
        self._forget(key)
        room = self._rooms.take(Segments(sum(memoryview(part).nbytes for part in parts)).stored)
        await self._inner.put(key, sealed_whole(sealing, parts, room))
        # Not after a failure or a cancellation: a thread may still read it.
        self._rooms.give_back(room)
        self._forget(key)

    def writer(self, key: str) -> BlobWriter:
        return EncryptedWriter(self._inner.writer(key), self.keys, key, lambda: self._forget(key))

    async def open(self, key: str, offset: int = 0, length: int | None = None) -> BlobReader:
        if key not in self._known and offset < SEGMENT:
            return await self._open_unknown(key, max(0, offset), length)
        lying = await self._look(key)
        if lying is None:
            return await self._inner.open(key, offset, length)
        segments = lying.segments
        begin, end = _bounds(segments.size, offset, length)
        cipher = await self._cipher(key, lying.head)
        numbers = segments.covering(begin, end)
        first, behind = segments.place(numbers.start), segments.place(numbers.stop)
        return EncryptedReader(await self._inner.open(key, first, behind - first), segments, cipher, begin, end)

    async def read(self, parts: Sequence[Part]) -> list[bytes]:
        looks = await self._look_at_all({part.key for part in parts})
        pieces = await self._inner.read([_stored(part, looks[part.key]) for part in parts])
        ciphers = {key: await self._cipher(key, lying.head) for key, lying in looks.items() if lying is not None}
        return [
            _opened(part, looks[part.key], ciphers.get(part.key), piece)
            for part, piece in zip(parts, pieces, strict=True)
        ]

    async def stat(self, key: str) -> BlobStat:
        try:
            lying = await self._look(key)
        except Archived:
            # It cannot be read now. Objects that a store archived by its own rules were encrypted, except old ones.
            stored = (await self._inner.stat(key)).size
            return BlobStat(key, Segments.of_stored(stored).size)
        return await self._inner.stat(key) if lying is None else BlobStat(key, lying.segments.size)

    async def delete(self, key: str) -> None:
        await self._inner.delete(key)
        self._forget(key)

    async def bring_back(self, key: str) -> None:
        await self._inner.bring_back(key)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobStat]:
        async for stat in self._inner.list(prefix):
            if not stat.key.startswith(ROOT):
                yield stat

    async def sweep_unfinished(self, older_than: float) -> int:
        return await self._inner.sweep_unfinished(older_than)

    async def check(self) -> None:
        await self._inner.check()
        await self.keys.newest()

    async def close(self) -> None:
        await self.keys.close()
        await self._inner.close()

    async def _open_unknown(self, key: str, offset: int, length: int | None) -> BlobReader:
        """Open an object of unknown layout at its beginning, or close to it, with a single request."""
        # Whole segments: a part of one cannot be decrypted.
        stored = None if length is None else Segments(-(-(offset + max(0, length)) // SEGMENT) * SEGMENT).stored
        reader = await self._inner.open(key, 0, stored)
        try:
            begin = memoryview(bytearray(min(_AHEAD, reader.size, reader.size if stored is None else stored)))
            begin = begin[: await reader.readinto([begin])]
            head = read_head(bytes(begin[:HEAD]))
            lying = EncryptedLayout(head, Segments.of_stored(reader.size)) if head is not None else None
            self._remember(key, lying)
            if lying is None:
                return Continued(begin[offset:], reader, _bounds(reader.size, offset, length))
            cipher = await self._cipher(key, lying.head)
            bounds = _bounds(lying.segments.size, offset, length)
            return EncryptedReader(reader, lying.segments, cipher, *bounds, begin[HEAD:])
        except BaseException:
            await reader.close()
            raise

    async def _look(self, key: str) -> EncryptedLayout | None:
        """The layout of an object. Raises `NotFound`, `Archived`, `Corrupt`, `DependencyUnavailable`."""
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        reader = await self._inner.open(key, 0, HEAD)
        try:
            begin = bytearray(min(HEAD, reader.size))
            filled = await reader.readinto([memoryview(begin)])
        finally:
            await reader.close()
        head = read_head(bytes(begin[:filled]))
        lying = EncryptedLayout(head, Segments.of_stored(reader.size)) if head is not None else None
        self._remember(key, lying)
        return lying

    async def _look_at_all(self, keys: Iterable[str]) -> Mapping[str, EncryptedLayout | None]:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def look(key: str) -> tuple[str, EncryptedLayout | None]:
            async with turns:
                return key, await self._look(key)

        tasks = [asyncio.ensure_future(look(key)) for key in keys]
        try:
            return dict(await asyncio.gather(*tasks))
        finally:
            await end_tasks(*tasks)

    async def _cipher(self, key: str, head: EncryptionHead) -> ObjectCipher:
        return ObjectCipher(await self.keys.get(head.key_id), head, key)

    def _remember(self, key: str, lying: EncryptedLayout | None) -> None:
        self._known[key] = lying
        self._known.move_to_end(key)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    def _forget(self, key: str) -> None:
        """Drop what is known of an object that is removed or rewritten."""
        self._known.pop(key, None)


def _bounds(size: int, offset: int, length: int | None) -> tuple[int, int]:
    begin = min(max(offset, 0), size)
    return begin, size if length is None else min(begin + max(length, 0), size)


def _numbers(part: Part, segments: Segments) -> range:
    return segments.covering(*_bounds(segments.size, part.offset, part.length))


def _stored(part: Part, lying: EncryptedLayout | None) -> Part:
    """The stored range that has to be read for a part."""
    if lying is None:
        return part
    numbers = _numbers(part, lying.segments)
    first, behind = lying.segments.place(numbers.start), lying.segments.place(numbers.stop)
    return Part(part.key, first, behind - first)


def _opened(part: Part, lying: EncryptedLayout | None, cipher: ObjectCipher | None, piece: bytes) -> bytes:
    if lying is None or cipher is None:
        return piece
    numbers = _numbers(part, lying.segments)
    plain = opened(cipher, lying.segments, numbers, memoryview(piece))
    begin, end = _bounds(lying.segments.size, part.offset, part.length)
    skip = begin - numbers.start * SEGMENT
    return bytes(memoryview(plain)[skip : skip + end - begin])
