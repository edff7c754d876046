"""Parts of stored objects: ranged reads, the layout where the index has none, and the header."""

from __future__ import annotations

from dataclasses import dataclass

from libs.common.dicom.inflate import inflate_head
from libs.common.dicom.layout import Layout, unpack_layout
from libs.common.dicom.scan import Limits, Scanner
from libs.common.dicom.transfer_syntaxes import encoding_of
from libs.common.errors import Corrupt, TooLarge
from libs.common.ports.blobs import BlobStore
from libs.common.ports.index import Location

MAX_HEADER = 64 << 20
"""Bytes of a header that is read into memory."""
MAX_DEFLATED = 256 << 20
"""Bytes of a deflated data set that a part is taken from: it has to be inflated from its beginning."""
_AT_ONCE = 4 << 20
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

    async def head(self, location: Location) -> Head:
        """Raises `NotUnderstood`, `TooLarge`."""
        layout = unpack_layout(location.layout) if location.layout else await self.scanned(location)
        if layout.header_length > MAX_HEADER:
            raise TooLarge(f"header of {layout.header_length} bytes")
        if layout.header_length <= _AT_ONCE or encoding_of(location.transfer_syntax_uid).deflated:
            data = await self.read(location, 0, layout.header_length)
            parts = [data[begin:end] for begin, end in _kept(layout)]
        else:
            parts = [await self.read(location, begin, end - begin) for begin, end in _kept(layout)]
        bulk = [one for one in layout.bulk if one.offset < layout.header_length]
        cut = [_without_element(part, one.vr) for part, one in zip(parts, bulk, strict=False)]
        return Head(location, layout, b"".join([*cut, *parts[len(bulk) :]]))

    async def scanned(self, location: Location) -> Layout:
        """The layout, learned from the object itself: for what was indexed before layouts were, and for more fragments
        than an event carries."""
        scanner = Scanner(location.transfer_syntax_uid, _MANY_FRAGMENTS)
        reader = await self.store.open(location.object_key, location.data_set_offset, location.data_set_length)
        try:
            chunk = bytearray(_CHUNK)
            while count := await reader.readinto([memoryview(chunk)]):
                scanner.feed(bytes(chunk[:count]))
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


def _without_element(part: bytes, vr: str) -> bytes:
    """Less what stands before the value that was left out: tag and length, with the VR between them or not."""
    return part[:-12] if part[-8:-6] == vr.encode("ascii") else part[:-8]
