"""Parts of stored objects: ranged reads, the layout where the index has none, and the header."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from libs.common.dicom.inflate import inflate_head
from libs.common.dicom.layout import Layout, unpack_layout
from libs.common.dicom.scan import Limits, Scanner
from libs.common.dicom.transfer_syntaxes import encoding_of
from libs.common.errors import Corrupt, TooLarge
from libs.common.ports.blobs import OPEN_AHEAD, BlobStore, Part
from libs.common.ports.index import Location

MAX_HEADER = 64 << 20
"""Bytes of a header that is read into memory."""
MAX_DEFLATED = 256 << 20
"""Bytes of a deflated data set that a part is taken from: it has to be inflated from its beginning."""
_TOGETHER = 64
"""Objects whose headers are read together."""
_AT_ONCE = 4 << 20
"""Bytes that are read together: a header that is longer is read around its bulk."""
_CHUNK = 1 << 20
_MANY_FRAGMENTS = Limits(max_fragments=2_000_000)


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of an object without its bulk: the header's bytes, inflated, and where the rest is."""

    location: Location
    layout: Layout
    header: bytes


class Objects:
    """Reads parts of objects. Offsets are those of the data set, inflated where it is deflated."""

    def __init__(self, store: BlobStore) -> None:
        self.store = store

    async def read(self, location: Location, offset: int, length: int) -> bytes:
        """A part of a data set. Raises `Corrupt` where it is not there, `TooLarge`."""
        if encoding_of(location.transfer_syntax_uid).deflated:
            whole = await self._inflated(location, offset + length)
            part = whole[offset : offset + length]
        else:
            part = await self._stored(location, offset, length)
        if len(part) != length:
            raise Corrupt("an object is shorter than it was")
        return part

    async def read_parts(self, location: Location, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """Many small parts of a data set that is not deflated, by offset and length; cut where the object ends."""
        begin = location.data_set_offset
        return await self.store.read([Part(location.object_key, begin + at, length) for at, length in parts])

    async def head(self, location: Location) -> Head:
        """Raises `NotUnderstood`, `TooLarge`, `Corrupt`."""
        (head,) = await self._heads([(location, await self._layout(location))])
        return head

    async def heads(self, locations: Sequence[Location]) -> AsyncIterator[list[Head]]:
        """The heads of many objects, in their order, as many at once as fit into little memory. Raises the same."""
        group: list[tuple[Location, Layout]] = []
        size = 0
        for location in locations:
            layout = await self._layout(location)
            if group and (len(group) == _TOGETHER or size + layout.header_length > _AT_ONCE):
                yield await self._heads(group)
                group, size = [], 0
            group.append((location, layout))
            size += layout.header_length
        if group:
            yield await self._heads(group)

    async def _layout(self, location: Location) -> Layout:
        layout = unpack_layout(location.layout) if location.layout else await self.scanned(location)
        if layout.header_length > MAX_HEADER:
            raise TooLarge(f"header of {layout.header_length} bytes")
        return layout

    async def _heads(self, group: Sequence[tuple[Location, Layout]]) -> list[Head]:
        small = [(location, layout) for location, layout in group if _is_small(location, layout)]
        parts = [Part(one.object_key, one.data_set_offset, layout.header_length) for one, layout in small]
        read = iter(await self.store.read(parts) if parts else ())
        heads = []
        for location, layout in group:
            if _is_small(location, layout):
                data = next(read)
                if len(data) != layout.header_length:
                    raise Corrupt("an object is shorter than it was")
                pieces = [data[begin:end] for begin, end in _kept(layout)]
            else:
                pieces = await self._pieces(location, layout)
            heads.append(Head(location, layout, _joined(layout, pieces)))
        return heads

    async def _pieces(self, location: Location, layout: Layout) -> list[bytes]:
        """What the header is made of, where not all before the pixel data is to be read at once."""
        if encoding_of(location.transfer_syntax_uid).deflated:
            data = await self.read(location, 0, layout.header_length)
            return [data[begin:end] for begin, end in _kept(layout)]
        return [await self.read(location, begin, end - begin) for begin, end in _kept(layout)]

    async def scanned(self, location: Location) -> Layout:
        """The layout, learned from the object itself: for what was indexed before layouts were, and for more fragments
        than an event carries."""
        scanner = Scanner(location.transfer_syntax_uid, _MANY_FRAGMENTS)
        reader = await self.store.open(location.object_key, location.data_set_offset, location.data_set_length)
        try:
            chunk = bytearray(_CHUNK)
            while count := await reader.readinto([memoryview(chunk)]):
                scanner.feed(memoryview(chunk)[:count])
        finally:
            await reader.close()
        scan = scanner.finish()
        return Layout(scan.header_length, scan.bulk, scan.pixel_data)

    async def whole(self, location: Location) -> bytes:
        """The Part 10 object."""
        return await self._stored(
            location, -location.data_set_offset, location.data_set_offset + location.data_set_length
        )

    async def _stored(self, location: Location, offset: int, length: int) -> bytes:
        if length <= OPEN_AHEAD:
            return (await self.store.read([Part(location.object_key, location.data_set_offset + offset, length)]))[0]
        reader = await self.store.open(location.object_key, location.data_set_offset + offset, length)
        try:
            buffer = bytearray(max(0, min(length, reader.size - location.data_set_offset - offset)))
            filled = await reader.readinto([memoryview(buffer)])
            return bytes(buffer[:filled])
        finally:
            await reader.close()

    async def _inflated(self, location: Location, length: int) -> bytes:
        if max(length, location.data_set_length) > MAX_DEFLATED:
            raise TooLarge("a part of a deflated data set of this size")
        return inflate_head(await self._stored(location, 0, location.data_set_length), length)


def _kept(layout: Layout) -> list[tuple[int, int]]:
    """The ranges of the header between the values that are left out of it."""
    ranges, begin = [], 0
    for one in layout.bulk:
        if one.offset < layout.header_length:
            ranges.append((begin, one.offset))
            begin = one.offset + one.length
    return [*ranges, (begin, max(begin, layout.header_length))]


def _is_small(location: Location, layout: Layout) -> bool:
    return layout.header_length <= _AT_ONCE and not encoding_of(location.transfer_syntax_uid).deflated


def _joined(layout: Layout, pieces: Sequence[bytes]) -> bytes:
    """The header, from what stands between the values that are left out of it."""
    bulk = [one for one in layout.bulk if one.offset < layout.header_length]
    cut = [_without_element(piece, one.vr) for piece, one in zip(pieces, bulk, strict=False)]
    return b"".join([*cut, *pieces[len(bulk) :]])


def _without_element(part: bytes, vr: str) -> bytes:
    """Less what stands before the value that was left out: tag and length, with the VR between them or not."""
    return part[:-12] if part[-8:-6] == vr.encode("ascii") else part[:-8]
