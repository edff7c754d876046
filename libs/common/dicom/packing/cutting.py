"""Cuts an object into blocks while it passes by: strips of its frames if it has native pixel data, and pieces of
everything before, between and after.

A frame is a block of its own, or several if it is large, so that a frame can be read without decoding others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gantry.common.dicom.encoding.part10 import needed, parse_meta
from gantry.common.dicom.encoding.values import header_values
from gantry.common.dicom.scan.header import HeaderCollector, ScanLimits
from gantry.common.dicom.scan.walk import Walk
from gantry.common.dicom.standard.tags import (
    BITS_ALLOCATED,
    COLUMNS,
    NUMBER_OF_FRAMES,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_DATA,
    PLANAR_CONFIGURATION,
    ROWS,
    SAMPLES_PER_PIXEL,
)
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.errors import NotUnderstood

BLOCK = 1 << 20
"""Bytes of a block, at most."""
_LEAST = 64 << 10
"""Frames smaller than this share a block."""
_PIECE = 1 << 16
_LIMITS = ScanLimits(max_header=8 << 20)
_TAGS = {
    "samples": SAMPLES_PER_PIXEL,
    "planar": PLANAR_CONFIGURATION,
    "frames": NUMBER_OF_FRAMES,
    "rows": ROWS,
    "columns": COLUMNS,
    "allocated": BITS_ALLOCATED,
}
_DEFAULTS = {"samples": 1, "planar": 0, "frames": 1}
_SUBSAMPLED = ("YBR_FULL_422", "YBR_PARTIAL_422")


class Strip(NamedTuple):
    """Lines of samples: number of columns, of interleaved samples per pixel, and of bytes per sample."""

    columns: int
    samples: int
    width: int

    @property
    def line(self) -> int:
        """Bytes of a line."""
        return self.columns * self.samples * self.width


class Cut(NamedTuple):
    """The bytes of a block; `strip` if they are whole lines of samples, else None."""

    data: bytes
    strip: Strip | None


@dataclass(frozen=True, slots=True)
class _Raster:
    """All lines of all frames, cut every `length` bytes; `total` bytes."""

    strip: Strip
    length: int
    total: int


class Cutter:
    """Cuts one object, fed in chunks cut anywhere. The cuts together are the bytes that were fed, whatever they are.
    Memory: one block, and the header of the data set up to a limit."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = 0
        """Bytes of the object before the current piece."""
        self._head: bytearray | None = bytearray()
        """The beginning of the file meta information, until that is complete."""
        self._finder: _PixelFinder | None = None
        self._raster: _Raster | None = None
        self._left = 0
        """Bytes of the raster that have not arrived yet."""

    def feed(self, chunk: bytes | bytearray | memoryview) -> Iterator[Cut]:
        """Take the next bytes. Returns the blocks that are complete then."""
        view = memoryview(chunk)
        while view:
            piece, view = bytes(view[:_PIECE]), view[_PIECE:]
            yield from self._take(piece)
            self._position += len(piece)

    def finish(self) -> Iterator[Cut]:
        """The object ends here. Returns the remaining block."""
        yield from self._flush()

    def _take(self, piece: bytes) -> Iterator[Cut]:
        if not self._left:
            begin = self._pixels_in(piece)
            if begin is None:
                yield from self._add(piece)
                return
            yield from self._add(piece[:begin])
            yield from self._flush()
            piece = piece[begin:]
        inside, behind = piece[: self._left], piece[self._left :]
        yield from self._lines(inside)
        yield from self._add(behind)

    def _add(self, data: bytes) -> Iterator[Cut]:
        self._buffer += data
        while len(self._buffer) > BLOCK:
            yield Cut(bytes(self._buffer[:BLOCK]), None)
            del self._buffer[:BLOCK]

    def _flush(self, strip: Strip | None = None) -> Iterator[Cut]:
        if self._buffer:
            yield Cut(bytes(self._buffer), strip)
            self._buffer.clear()

    def _lines(self, data: bytes) -> Iterator[Cut]:
        raster = self._raster
        while data and raster is not None:
            part = data[: raster.length - len(self._buffer)]
            data = data[len(part) :]
            self._buffer += part
            self._left -= len(part)
            if len(self._buffer) == raster.length or not self._left:
                yield from self._flush(raster.strip)

    def _pixels_in(self, piece: bytes) -> int | None:
        """Where in a piece samples begin that can be cut into strips; None if there are none."""
        try:
            data_set = self._data_set_in(piece)
            if self._finder is None or not self._finder.feed(data_set):
                return None
        except NotUnderstood:
            self._head = self._finder = None  # from now on it is bytes
            return None
        finder, self._finder = self._finder, None
        begin = finder.begin - self._position
        self._raster = finder.raster() if 0 <= begin <= len(piece) else None
        if self._raster is None:
            return None
        self._left = self._raster.total
        return begin

    def _data_set_in(self, piece: bytes) -> bytes:
        """The part of a piece, and of earlier ones, that belongs to the data set."""
        if self._head is None:
            return piece
        self._head += piece
        head = bytes(self._head)
        if needed(head) > len(head):
            return b""
        meta = parse_meta(head)
        self._head = None
        encoding = encoding_of(meta.transfer_syntax_uid)
        if not (encoding.deflated or encoding.big_endian or encoding.encapsulated):
            self._finder = _PixelFinder(meta.transfer_syntax_uid, meta.data_set_offset)
        return head[meta.data_set_offset :]


class _PixelFinder:
    """Finds native pixel data in a data set that begins at `offset` of its file."""

    def __init__(self, syntax: str, offset: int) -> None:
        self._syntax = syntax
        self._offset = offset
        self._collector = HeaderCollector(_LIMITS)
        self._walk = Walk(encoding_of(syntax), self._collector, _LIMITS)

    def feed(self, data: bytes) -> bool:
        """Whether pixel data begins in the next bytes, or at their end. Raises `NotUnderstood`."""
        self._walk.feed(data)
        return self._collector.pixel_data is not None

    @property
    def begin(self) -> int:
        """Where its value begins in the file."""
        pixels = self._collector.pixel_data
        return -1 if pixels is None else self._offset + pixels.offset

    def raster(self) -> _Raster | None:
        """How it is cut; None if it does not consist of whole lines of whole bytes."""
        header, _, _ = self._collector.result()
        pixels = self._collector.pixel_data
        if header is None or pixels is None or pixels.length is None or pixels.tag != PIXEL_DATA:
            return None
        return _raster_of(header, self._syntax, pixels.length)


def _raster_of(header: bytes, syntax: str, length: int) -> _Raster | None:
    """PS3.5 8.1.1, PS3.3 C.7.6.3.1: samples of a pixel follow each other, or each plane does."""
    values = header_values(header, syntax, [*_TAGS.values(), PHOTOMETRIC_INTERPRETATION], partial=True)
    try:
        numbers = {name: int((values.get(tag) or [_DEFAULTS.get(name)])[0]) for name, tag in _TAGS.items()}
    except (TypeError, ValueError):
        return None
    if min(numbers[name] for name in ("samples", "frames", "rows", "columns")) < 1 or numbers["allocated"] not in (
        8,
        16,
    ):
        return None
    if str((values.get(PHOTOMETRIC_INTERPRETATION) or [""])[0]).strip() in _SUBSAMPLED:
        return None
    by_pixel = numbers["samples"] if numbers["planar"] == 0 else 1
    strip = Strip(numbers["columns"], by_pixel, numbers["allocated"] // 8)
    lines = numbers["rows"] * (numbers["samples"] // by_pixel)
    total = lines * strip.line * numbers["frames"]
    if strip.line > BLOCK or total > length:
        return None
    return _Raster(strip, _cut_of(strip.line, lines), total)


def _cut_of(line: int, lines: int) -> int:
    """Bytes of a block: a part of a frame, of at most `BLOCK` bytes; or several small frames."""
    frame = line * lines
    if frame < _LEAST:
        return frame * (_LEAST // frame)
    strips = -(-frame // BLOCK)
    return line * min(-(-lines // strips), max(1, BLOCK // line))
