"""What a streaming scan retains of a data set: the header up to a limit, and where the bulk values are."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.common.dicom.encoding.syntax import MAX_NESTING
from gantry.common.dicom.scan.layout import BulkElement, PixelData
from gantry.common.dicom.standard.vrs import BULK_VRS


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """What a scan refuses (`NotUnderstood`), and beyond which length it stores references in place of bytes."""

    max_header: int = 256 * 1024
    max_bulk_value: int = 1024
    """A top-level binary value longer than this is left out of the header."""
    max_bulk_elements: int = 1024
    max_fragments: int = 20_000
    max_depth: int = MAX_NESTING
    max_items: int = 500_000
    max_walked: int = 128 << 20
    """Bytes of elements that are examined one by one; values that are skipped by their length do not count."""
    max_inflated: int = 1 << 30


class HeaderCollector:
    """Collects the header. Beyond a limit it discards all of it, so that memory stays bounded."""

    def __init__(self, limits: ScanLimits) -> None:
        self._limits = limits
        self._parts: list[bytes] = []
        self._length = 0
        self._whole = True
        self._bulk: list[BulkElement] = []
        self._fragments: list[int] | None = []
        self.pixel_data: PixelData | None = None

    def is_bulk(self, vr: bytes, length: int) -> bool:
        """Whether a top-level value is to be left out of the header."""
        return length > self._limits.max_bulk_value and vr in BULK_VRS

    def add(self, part: bytes) -> None:
        """The next bytes of the header."""
        self._length += len(part)
        if self._length > self._limits.max_header:
            self._let_go()
        if self._whole and part:
            self._parts.append(part)

    def leave_out(self, tag: int, vr: bytes, offset: int, length: int) -> None:
        """Record a value that is left out of the header."""
        if len(self._bulk) == self._limits.max_bulk_elements:
            self._let_go()
        if self._whole:
            self._bulk.append(BulkElement(tag, vr.decode("ascii"), offset, length))

    def _let_go(self) -> None:
        self._whole = False
        self._parts.clear()
        self._bulk.clear()

    def pixels(self, tag: int, vr: bytes, offset: int, length: int | None) -> None:
        """The pixel data begins. Only the first is noted."""
        if self.pixel_data is None:
            self.pixel_data = PixelData(tag, vr.decode("ascii"), offset, length)

    def fragment(self, length: int) -> None:
        """The next item of encapsulated pixel data."""
        if self._fragments is not None:
            self._fragments.append(length)
            if len(self._fragments) > self._limits.max_fragments:
                self._fragments = None

    def result(self) -> tuple[bytes | None, tuple[BulkElement, ...], PixelData | None]:
        """The header (None if it is larger than the limit), the values left out of it, and the pixel data."""
        header = b"".join(self._parts) if self._whole else None
        pixels = self.pixel_data
        if pixels is not None and pixels.length is None:
            fragments = None if self._fragments is None else tuple(self._fragments)
            pixels = PixelData(pixels.tag, pixels.vr, pixels.offset, None, fragments)
        return header, tuple(self._bulk), pixels
