"""Reading objects: whole and verified, by range, or their headers only; scans the layout if the index has none.

Offsets are those of the data set, after inflating if it is deflated. An object that is lost, cut short or changed
raises `Damaged`, and is reported (`gantry.services.retrieve.damage`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gantry.common.dicom.encoding.elements import skip
from gantry.common.dicom.encoding.syntax import UNDEFINED, read_element, syntax_of
from gantry.common.dicom.scan.header import ScanLimits
from gantry.common.dicom.scan.layout import BulkElement, Layout, unpack_layout
from gantry.common.dicom.scan.scanner import Scanner
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.errors import Corrupt, NotFound, NotUnderstood, TooLarge
from gantry.common.net import Source
from gantry.common.ports.blobs import OPEN_AHEAD, BlobReader, BlobStore, Part
from gantry.common.ports.index import Location
from gantry.services.retrieve.checks import BEFORE, IntegrityChecks
from gantry.services.retrieve.damage import MISSING, WRONG_DIGEST, WRONG_SIZE, Damaged, DamageReports
from gantry.services.retrieve.sources import (
    CHUNK,
    BytesSource,
    InflatedSource,
    JoinedSource,
    LocationDigest,
    VerifiedSource,
    pass_over,
    read_buffer,
    read_exactly,
)
from gantry.services.retrieve.threads import in_thread

MAX_HEADER = 64 << 20
"""Bytes of a header that may be read into memory, without its bulk values."""
_TOGETHER = 64
"""Objects whose headers are read together."""
_AT_ONCE = 4 << 20
"""Bytes that are read together: in a longer header the bulk values are skipped."""
_MANY_FRAGMENTS = ScanLimits(max_fragments=2_000_000)
_SMALL_TAIL, _WINDOW = 1 << 20, 1 << 16


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """An object without its bulk: the bytes of the elements before and after its pixel data, inflated, and where the
    rest is."""

    location: Location
    layout: Layout
    header: bytes
    tail: bytes = b""
    """The elements after the pixel data."""


class Objects:
    """Reads objects."""

    def __init__(self, store: BlobStore, reports: DamageReports | None = None, *, check_before: int = BEFORE) -> None:
        """Objects of up to `check_before` bytes are read whole before a part of them is sent."""
        self.store = store
        self.reports = reports or DamageReports()
        self._checks = IntegrityChecks(self._read_whole, check_before)

    # ---- whole

    async def verified(self, location: Location) -> Source:
        """The data set as it is stored. Its digest is compared before the first byte of a small data set is returned,
        and before the last bytes of a long one. Raises `Damaged`, now or while it is read."""
        reader = await self._opened(location, location.data_set_offset)
        return await self._verified(location, reader)

    async def verified_file(self, location: Location) -> Source:
        """The same for the Part 10 file; the digest covers its data set only."""
        reader = await self._opened(location, 0)
        try:
            meta = await read_exactly(reader, location.data_set_offset)
        except BaseException:
            await reader.close()
            raise
        return JoinedSource([BytesSource(meta), await self._verified(location, reader)])

    async def _opened(self, location: Location, begin: int) -> BlobReader:
        end = location.data_set_offset + location.data_set_length
        try:
            reader = await self.store.open(location.object_key, begin, end - begin)
        except NotFound:
            raise self.reports.report(location, MISSING) from None
        except Corrupt:
            raise self.reports.report(location, WRONG_DIGEST) from None
        if reader.size != end:
            await reader.close()
            raise self.reports.report(location, WRONG_SIZE)
        return reader

    async def _verified(self, location: Location, reader: Source) -> Source:
        length, seen = location.data_set_length, partial(self.reports.report, location)
        if length > OPEN_AHEAD and not self.reports.is_suspect(location):
            return VerifiedSource(reader, length, location.digest, seen)
        try:
            if length <= OPEN_AHEAD:
                data = await read_buffer(reader, length)
                # Two megabytes take 0.7 ms; in a thread, objects would overtake each other.
                if not _fits(data, location.digest):
                    raise self.reports.report(location, WRONG_DIGEST)
                self.reports.is_well(location)
                return BytesSource(data)
            await _read_through(VerifiedSource(reader, length, location.digest, seen))
        finally:
            await reader.close()
        self.reports.is_well(location)
        again = await self._opened(location, location.data_set_offset)
        return VerifiedSource(again, length, location.digest, seen)

    async def require(self, location: Location) -> None:
        """Raises `Damaged` if the object is missing or has another length; its bytes are not read."""
        try:
            stat = await self.store.stat(location.object_key)
        except NotFound:
            raise self.reports.report(location, MISSING) from None
        except Corrupt:
            raise self.reports.report(location, WRONG_DIGEST) from None
        if stat.size != location.data_set_offset + location.data_set_length:
            raise self.reports.report(location, WRONG_SIZE)
        if self.reports.is_suspect(location):
            source = await self.verified(location)
            await source.close()

    # ---- parts

    async def open(self, location: Location, offset: int, length: int) -> Source:
        """A part of a data set, in one pass. Raises `Damaged`, now or while it is read."""
        if not encoding_of(location.transfer_syntax_uid).deflated:
            return await self._opened_part(location, offset, length)
        reader = await self._opened(location, location.data_set_offset)
        inflated = InflatedSource(reader, offset, length)
        try:
            await inflated.skip()
        except BaseException:
            await inflated.close()
            raise
        return inflated

    async def open_checked(self, location: Location, offset: int, length: int) -> Source:
        """A part of a data set that is to be sent as it is, of an object that was read whole a short while ago, or is
        read now (`gantry.services.retrieve.checks`). Raises `Damaged`, now or while it is read."""
        deflated = encoding_of(location.transfer_syntax_uid).deflated
        if location.data_set_length <= OPEN_AHEAD and not deflated and not self._checks.is_known(location):
            # The object is read at once, and the part is taken from what was read.
            whole = await self.verified(location)
            data = await read_buffer(whole, location.data_set_length)
            self._checks.note(location)
            if offset + length > len(data):
                raise self.reports.report(location, WRONG_SIZE)
            return BytesSource(memoryview(data)[offset : offset + length])
        await self.check(location)
        return await self.open(location, offset, length)

    async def check(self, location: Location) -> None:
        """Return when parts of an object may be sent, as in `open_checked`. Raises `Damaged`."""
        await self._checks.require(location, suspect=self.reports.is_suspect(location))

    async def _read_whole(self, location: Location) -> None:
        source = await self.verified(location)
        try:
            await _read_through(source)
        finally:
            await source.close()
        self.reports.is_well(location)

    async def _opened_part(self, location: Location, offset: int, length: int) -> BlobReader:
        try:
            reader = await self.store.open(location.object_key, location.data_set_offset + offset, length)
        except NotFound:
            raise self.reports.report(location, MISSING) from None
        except Corrupt:
            raise self.reports.report(location, WRONG_DIGEST) from None
        if reader.size < location.data_set_offset + offset + length:
            await reader.close()
            raise self.reports.report(location, WRONG_SIZE)
        return reader

    async def read(self, location: Location, offset: int, length: int) -> bytes:
        """A small part of a data set. Raises `Damaged`."""
        source = await self.open(location, offset, length)
        try:
            return await read_exactly(source, length)
        finally:
            await source.close()

    async def read_parts(self, location: Location, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """Many small parts of a data set that is not deflated, by offset and length; cut at the end of the object."""
        begin = location.data_set_offset
        try:
            return await self.store.read([Part(location.object_key, begin + at, length) for at, length in parts])
        except NotFound:
            raise self.reports.report(location, MISSING) from None
        except Corrupt:
            raise self.reports.report(location, WRONG_DIGEST) from None

    # ---- headers

    async def head(self, location: Location) -> ObjectHead:
        """The head of one object. Raises `NotUnderstood`, `TooLarge`, `Damaged`."""
        (head,) = await self._heads([(location, await self.layout(location))])
        if isinstance(head, Damaged):
            raise head
        return head

    async def heads(self, locations: Sequence[Location]) -> AsyncIterator[list[ObjectHead | Damaged]]:
        """The heads of many objects, in their order, in groups of bounded size; a `Damaged` in place of the head of a
        damaged object. Raises `NotUnderstood`, `TooLarge`."""
        group: list[tuple[Location, Layout | Damaged]] = []
        size = 0
        for location in locations:
            layout = await self._layout_or_damage(location)
            length = layout.header_length if isinstance(layout, Layout) else 0
            if group and (len(group) == _TOGETHER or size + length > _AT_ONCE):
                yield await self._heads(group)
                group, size = [], 0
            group.append((location, layout))
            size += length
        if group:
            yield await self._heads(group)

    async def layout(self, location: Location) -> Layout:
        """The layout of an object. Raises `TooLarge` if its header is too long for memory."""
        layout = unpack_layout(location.layout) if location.layout else await self.scanned(location)
        length = sum(end - begin for begin, end in stored_ranges(layout))
        if length > MAX_HEADER:
            raise TooLarge(f"header of {length} bytes")
        return layout

    async def _layout_or_damage(self, location: Location) -> Layout | Damaged:
        try:
            return await self.layout(location)
        except Damaged as damage:
            return damage

    async def _heads(self, group: Sequence[tuple[Location, Layout | Damaged]]) -> list[ObjectHead | Damaged]:
        small = [
            (location, layout)
            for location, layout in group
            if isinstance(layout, Layout) and _is_small(location, layout)
        ]
        read = dict(zip([location.object_key for location, _ in small], await self._read_heads(small), strict=True))
        heads: list[ObjectHead | Damaged] = []
        for location, layout in group:
            try:
                if isinstance(layout, Damaged):
                    raise layout
                heads.append(await self._head(location, layout, read.get(location.object_key)))
            except Damaged as damage:
                heads.append(damage)
        return heads

    async def _read_heads(self, small: Sequence[tuple[Location, Layout]]) -> Sequence[bytes | None]:
        """Read all headers at once; if an object is missing, each by itself."""
        if not small:
            return ()
        parts = [
            Part(location.object_key, location.data_set_offset, layout.header_length) for location, layout in small
        ]
        try:
            return await self.store.read(parts)
        except (NotFound, Corrupt):
            return [None] * len(small)

    async def _head(self, location: Location, layout: Layout, data: bytes | None) -> ObjectHead:
        if data is not None and len(data) != layout.header_length:
            raise self.reports.report(location, WRONG_SIZE)
        pieces = [data[begin:end] for begin, end in stored_ranges(layout)] if data is not None else None
        if encoding_of(location.transfer_syntax_uid).deflated:
            pieces, tail = await self.inflated_parts(location, layout)
        else:
            pieces = pieces or await self.pieces(location, layout)
            tail = await self.tail(location, layout)
        header = _joined(layout, pieces)
        if not tail:
            return ObjectHead(location, layout, header)
        deflated = encoding_of(location.transfer_syntax_uid).deflated
        begin = pixels_end(layout) if deflated else location.data_set_length - len(tail)
        try:
            rest, bulk = around_bulk(tail, location.transfer_syntax_uid, begin)
        except NotUnderstood:
            rest, bulk = tail, ()
        return ObjectHead(location, replace(layout, bulk=(*layout.bulk, *bulk)), header + rest, rest)

    async def pieces(self, location: Location, layout: Layout) -> list[bytes]:
        """The pieces of a header between its bulk values, of an object that is not deflated."""
        return [await self.read(location, begin, end - begin) for begin, end in stored_ranges(layout)]

    async def tail(self, location: Location, layout: Layout) -> bytes:
        """The elements after the pixel data of an object that is not deflated. Raises `TooLarge`."""
        pixels = layout.pixel_data
        if pixels is None:
            return b""
        if pixels.length is None and pixels.fragments is None:
            pixels = (await self.scanned(location)).pixel_data
            layout = replace(layout, pixel_data=pixels)
        begin = pixels_end(layout)
        length = location.data_set_length - begin
        if length <= 0:
            return b""
        if length > MAX_HEADER:
            raise TooLarge(f"{length} bytes of elements behind the pixel data")
        return await self.read(location, begin, length)

    async def inflated_parts(self, location: Location, layout: Layout) -> tuple[list[bytes], bytes]:
        """`pieces` and `tail` of a deflated object, in one pass."""
        reader = await self._opened(location, location.data_set_offset)
        source = InflatedSource(reader)
        try:
            pieces, at = [], 0
            for begin, end in stored_ranges(layout):
                await pass_over(source, begin - at)
                pieces.append(await read_exactly(source, end - begin))
                at = end
            if layout.pixel_data is None:
                return pieces, b""
            await pass_over(source, pixels_end(layout) - at)
            return pieces, await _rest(source)
        finally:
            await source.close()

    async def scanned(self, location: Location) -> Layout:
        """The layout, scanned from the object itself: for objects that were indexed before layouts existed, and for
        objects with more fragments than an event carries."""
        scanner = Scanner(location.transfer_syntax_uid, _MANY_FRAGMENTS)
        reader = await self._opened(location, location.data_set_offset)
        try:
            chunk = bytearray(CHUNK)
            while count := await reader.readinto([memoryview(chunk)]):
                await in_thread(scanner.feed, memoryview(chunk)[:count])
        finally:
            await reader.close()
        scan = scanner.finish()
        return Layout(scan.header_length, scan.bulk, scan.pixel_data)


def _fits(data: bytearray, digest: str) -> bool:
    passed = LocationDigest(digest)
    passed.update(data)
    return passed.fits


async def _read_through(source: Source) -> None:
    buffer = memoryview(bytearray(CHUNK))
    while await source.readinto([buffer]):
        pass


async def _rest(source: Source) -> bytes:
    buffer, content = memoryview(bytearray(CHUNK)), bytearray()
    while count := await source.readinto([buffer]):
        content += buffer[:count]
        if len(content) > MAX_HEADER:
            raise TooLarge("too many elements behind the pixel data")
    return bytes(content)


def stored_ranges(layout: Layout) -> list[tuple[int, int]]:
    """The ranges of the header between its bulk values."""
    ranges, begin = [], 0
    for element in layout.bulk:
        if element.offset < layout.header_length:
            ranges.append((begin, element.offset))
            begin = element.offset + element.length
    return [*ranges, (begin, max(begin, layout.header_length))]


def pixels_end(layout: Layout) -> int:
    """The offset after the pixel data, including its delimiter (PS3.5 A.4)."""
    pixels = layout.pixel_data
    if pixels is None:
        return layout.header_length
    if pixels.length is not None:
        return pixels.offset + pixels.length
    return pixels.offset + sum(length + 8 for length in pixels.fragments or ()) + 8


def _is_small(location: Location, layout: Layout) -> bool:
    return layout.header_length <= _AT_ONCE and not encoding_of(location.transfer_syntax_uid).deflated


def _joined(layout: Layout, pieces: Sequence[bytes]) -> bytes:
    """The header without its bulk elements, joined from the pieces between their values."""
    bulk = [element for element in layout.bulk if element.offset < layout.header_length]
    cut = [_without_element(piece, element.vr) for piece, element in zip(pieces, bulk, strict=False)]
    return b"".join([*cut, *pieces[len(bulk) :]])


def _without_element(part: bytes, vr: str) -> bytes:
    """A piece without the tag, VR (if any) and length of the bulk element at its end."""
    return part[:-12] if part[-8:-6] == vr.encode("ascii") else part[:-8]


def around_bulk(tail: bytes, transfer_syntax: str, begin: int) -> tuple[bytes, tuple[BulkElement, ...]]:
    """Top-level elements without their long plain values, and where these values are in the data set; the elements
    begin at offset `begin`. Raises `NotUnderstood`."""
    if len(tail) <= _SMALL_TAIL:
        return tail, ()
    syntax, pos, parts, bulk = syntax_of(encoding_of(transfer_syntax)), 0, [], []
    while pos < len(tail):
        read = read_element(tail, pos, len(tail), syntax)
        if read is None:
            raise NotUnderstood("data set is cut off")
        tag, vr, length, start = read
        if length == UNDEFINED or vr == b"SQ" or length <= _WINDOW:
            stop = skip(tail, start, len(tail), syntax) if length == UNDEFINED else start + length
            parts.append(tail[pos:stop])
        else:
            stop = start + length
            bulk.append(BulkElement(tag, vr.decode("ascii", "replace"), begin + start, length))
        pos = stop
    return b"".join(parts), tuple(bulk)
