"""Image attributes, and where each native frame is (PS3.5 8). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gantry.common.dicom.encoding.values import header_values
from gantry.common.dicom.scan.layout import Layout, PixelData
from gantry.common.dicom.standard.tags import (
    BITS_ALLOCATED,
    BITS_STORED,
    COLUMNS,
    EXTENDED_OFFSET_TABLE,
    HIGH_BIT,
    NUMBER_OF_FRAMES,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_DATA,
    PIXEL_REPRESENTATION,
    PLANAR_CONFIGURATION,
    ROWS,
    SAMPLES_PER_PIXEL,
)
from gantry.common.dicom.standard.transfer_syntaxes import GE_PRIVATE, encoding_of
from gantry.common.errors import GantryError

_TAGS = {
    "samples": SAMPLES_PER_PIXEL,
    "photometric": PHOTOMETRIC_INTERPRETATION,
    "planar": PLANAR_CONFIGURATION,
    "frames": NUMBER_OF_FRAMES,
    "rows": ROWS,
    "columns": COLUMNS,
    "allocated": BITS_ALLOCATED,
    "stored": BITS_STORED,
    "high_bit": HIGH_BIT,
    "signed": PIXEL_REPRESENTATION,
}
_DEFAULTS: dict[str, Any] = {"samples": 1, "photometric": "MONOCHROME2", "planar": 0, "frames": 1, "signed": 0}
_MOST_FRAMES = 10_000_000
SUBSAMPLED = frozenset(("YBR_FULL_422", "YBR_PARTIAL_422"))
"""PS3.3 C.7.6.3.1.2: two luminance samples share one of each chrominance, so a native pixel takes two samples."""


class NoImage(GantryError):
    """The object has no frames; `is_impossible` if its image attributes contradict each other."""

    def __init__(self, words: str, is_impossible: bool = False) -> None:
        super().__init__(words)
        self.is_impossible = is_impossible


class NoFrame(GantryError):
    """The object has no such frame."""


@dataclass(frozen=True, slots=True)
class Image:
    """The attributes of PS3.3 C.7.6.3 that define how samples are arranged."""

    transfer_syntax: str
    pixels: PixelData
    extended_offsets: tuple[int, int] | None
    samples: int
    photometric: str
    planar: int
    frames: int
    rows: int
    columns: int
    allocated: int
    stored: int
    high_bit: int
    signed: int

    @property
    def frame_bits(self) -> int:
        """Bits of one native frame."""
        samples = 2 if self.photometric in SUBSAMPLED and self.samples == 3 else self.samples
        return self.rows * self.columns * samples * self.allocated

    @property
    def frame_bytes(self) -> int:
        """Bytes of a single frame, without a pad byte: PS3.5 8.1.1 pads the value as a whole."""
        return -(-self.frame_bits // 8)

    @property
    def most_bytes(self) -> int:
        """Largest size of one decoded frame in bytes: whole bytes for each sample, chrominance in full."""
        return self.rows * self.columns * self.samples * max(1, -(-self.allocated // 8))

    @property
    def alone(self) -> Image:
        """The image without its fragments, of which there may be thousands: as much as another process needs."""
        return replace(self, pixels=replace(self.pixels, fragments=None))

    @property
    def encapsulated(self) -> bool:
        """Whether the pixel data is in fragments."""
        return self.pixels.length is None

    @property
    def is_float(self) -> bool:
        """Whether samples are floating point numbers (PS3.3 C.7.6.24, C.7.6.25)."""
        return self.pixels.tag != PIXEL_DATA

    @property
    def swap(self) -> int:
        """How many bytes in a row are in reverse order in native pixel data; 1 if none are.

        PS3.5 7.3, A.3: OW is swapped in words whatever Bits Allocated says; wider samples as a whole.
        """
        if self.encapsulated:
            return 1
        big = encoding_of(self.transfer_syntax).big_endian or self.transfer_syntax == GE_PRIVATE
        words = self.pixels.vr != "OB" and not (self.transfer_syntax == GE_PRIVATE and self.allocated <= 8)
        return max(2, self.allocated // 8) if big and words else 1


def image_of(header: bytes, transfer_syntax: str, layout: Layout) -> Image:
    """The image attributes of a header. Raises `NoImage`."""
    if layout.pixel_data is None:
        raise NoImage("this object has no frames")
    values = header_values(header, transfer_syntax, _TAGS.values(), partial=True)
    attributes = {name: (values.get(tag) or [_DEFAULTS.get(name)])[0] for name, tag in _TAGS.items()}
    names = ("samples", "planar", "frames", "rows", "columns", "allocated", "signed")
    try:
        numbers = {name: int(attributes[name]) for name in names}
    except (TypeError, ValueError):
        raise _impossible() from None
    # Some devices write 0 for an image that is not a cine; pixel data has at least one frame.
    numbers["frames"] = numbers["frames"] or _DEFAULTS["frames"]
    stored = _number(attributes["stored"], numbers["allocated"])
    if not _is_possible(numbers, stored):
        raise _impossible()
    extended = next(((b.offset, b.length) for b in layout.bulk if b.tag == EXTENDED_OFFSET_TABLE), None)
    return Image(
        transfer_syntax=transfer_syntax,
        pixels=layout.pixel_data,
        extended_offsets=extended,
        photometric=str(attributes["photometric"]).strip(),
        stored=stored,
        high_bit=_number(attributes["high_bit"], stored - 1),
        **numbers,
    )


def _is_possible(numbers: dict[str, int], stored: int) -> bool:
    allocated = numbers["allocated"]
    return (
        min(numbers["samples"], numbers["frames"], numbers["rows"], numbers["columns"]) >= 1
        and max(numbers["rows"], numbers["columns"]) <= 0xFFFF
        and numbers["frames"] <= _MOST_FRAMES
        and numbers["samples"] in (1, 3, 4)
        and (allocated == 1 or (allocated % 8 == 0 and allocated <= 64))
        and 0 < stored <= allocated
    )


def _impossible() -> NoImage:
    return NoImage("the image attributes of the object contradict each other", is_impossible=True)


def _number(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def frame_numbers(text: str) -> list[int]:
    """A list of frame numbers (PS3.18 10.4.1.2), from 1, in the requested order. Raises `ValueError` with a reason."""
    parts = text.split(",")
    if len(parts) > 10_000:
        raise ValueError("more than 10000 frames")
    if not all(part.isascii() and part.isdigit() and len(part) <= 9 for part in parts):
        raise ValueError("the list of frames has an entry that is not a number")
    numbers = [int(part) for part in parts]
    if 0 in numbers:
        raise ValueError("frames are counted from 1")
    return numbers


def require_frames(image: Image, numbers: Sequence[int]) -> None:
    """Raises `NoFrame` if the image lacks one of the frames."""
    if max(numbers) > image.frames:
        raise NoFrame(f"there are {image.frames} frames")


@dataclass(frozen=True, slots=True)
class NativeFrame:
    """Where a native frame is: in `length` bytes of the data set from `offset`, in words of `swap` bytes; once these
    are swapped, it begins `skip` bytes and `bit` bits after their beginning."""

    offset: int
    length: int
    swap: int
    skip: int
    bit: int


def native_frame(image: Image, number: int) -> NativeFrame:
    """Where frame `number` is. Raises `NoFrame` if the pixel data ends before it."""
    assert image.pixels.length is not None
    first = (number - 1) * image.frame_bits
    begin, end = first // 8, -(-(first + image.frame_bits) // 8)
    if end > image.pixels.length:
        raise NoFrame("the pixel data ends before this frame")
    swap = image.swap
    # A frame may begin and end within a word.
    start, stop = begin - begin % swap, min(image.pixels.length, end + -end % swap)
    return NativeFrame(image.pixels.offset + start, stop - start, swap, begin - start, first % 8)
