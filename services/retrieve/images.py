"""What an image is made of, and where each of its native frames lies (PS3.5 8). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from libs.common.dicom.layout import Layout
from libs.common.dicom.transfer_syntaxes import encoding_of
from libs.common.dicom.values import header_values
from libs.common.events import PixelData
from libs.common.web.errors import HttpProblem

_TAGS = {
    "samples": 0x00280002,
    "photometric": 0x00280004,
    "planar": 0x00280006,
    "frames": 0x00280008,
    "rows": 0x00280010,
    "columns": 0x00280011,
    "allocated": 0x00280100,
    "stored": 0x00280101,
    "high_bit": 0x00280102,
    "signed": 0x00280103,
    "window_center": 0x00281050,
    "window_width": 0x00281051,
    "intercept": 0x00281052,
    "slope": 0x00281053,
}
_DEFAULTS: dict[str, Any] = {"samples": 1, "photometric": "MONOCHROME2", "planar": 0, "frames": 1, "signed": 0}
EXTENDED_OFFSETS = 0x7FE00001
_MOST_FRAMES = 10_000_000


@dataclass(frozen=True, slots=True)
class Image:
    """The attributes of PS3.3 C.7.6.3 that tell how samples lie, and those that tell how they are shown."""

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
    window: tuple[float, float] | None
    rescale: tuple[float, float]

    @property
    def frame_bits(self) -> int:
        """Bits of one native frame; chrominance is there for every second sample of YBR_FULL_422 only."""
        samples = 2 if self.photometric == "YBR_FULL_422" and self.samples == 3 else self.samples
        return self.rows * self.columns * samples * self.allocated

    @property
    def alone(self) -> Image:
        """The same without the fragments, of which there may be thousands: what another process has to know."""
        return replace(self, pixels=replace(self.pixels, fragments=None))

    @property
    def encapsulated(self) -> bool:
        """Whether the pixel data is in fragments."""
        return self.pixels.length is None


def image_of(header: bytes, transfer_syntax: str, layout: Layout) -> Image:
    """Raises `HttpProblem` 404 where there is no image, 422 where what is said of it cannot be."""
    if layout.pixel_data is None:
        raise HttpProblem(404, "this object has no frames")
    values = header_values(header, transfer_syntax, _TAGS.values(), partial=True)
    found = {name: (values.get(tag) or [_DEFAULTS.get(name)])[0] for name, tag in _TAGS.items()}
    try:
        numbers = {
            name: int(found[name]) for name in ("samples", "planar", "frames", "rows", "columns", "allocated", "signed")
        }
    except (TypeError, ValueError):
        raise HttpProblem(422, "what the object says of its image cannot be") from None
    stored = _number(found["stored"], numbers["allocated"])
    if (
        min(numbers["samples"], numbers["frames"], numbers["rows"], numbers["columns"]) < 1
        or max(numbers["rows"], numbers["columns"]) > 0xFFFF
        or numbers["frames"] > _MOST_FRAMES
        or numbers["samples"] not in (1, 3, 4)
        or numbers["allocated"] not in (1, 8, 16, 32, 64)
        or not 0 < stored <= numbers["allocated"]
    ):
        raise HttpProblem(422, "what the object says of its image cannot be")
    width = _float(found["window_width"], 0.0)
    extended = next(((b.offset, b.length) for b in layout.bulk if b.tag == EXTENDED_OFFSETS), None)
    return Image(
        transfer_syntax=transfer_syntax,
        pixels=layout.pixel_data,
        extended_offsets=extended,
        photometric=str(found["photometric"]),
        stored=stored,
        high_bit=_number(found["high_bit"], stored - 1),
        window=(_float(found["window_center"], 0.0), width) if width >= 1 else None,
        rescale=(_float(found["slope"], 1.0) or 1.0, _float(found["intercept"], 0.0)),
        **numbers,
    )


def _number(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _float(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else otherwise


def frame_numbers(text: str) -> list[int]:
    """A list of frames (PS3.18 10.4.1.2): from 1, in the order asked. Raises `HttpProblem` 400."""
    parts = text.split(",")
    if len(parts) > 10_000:
        raise HttpProblem(400, "more than 10000 frames")
    if not all(part.isascii() and part.isdigit() and len(part) <= 9 for part in parts):
        raise HttpProblem(400, "the list of frames holds what is no number")
    numbers = [int(part) for part in parts]
    if 0 in numbers:
        raise HttpProblem(400, "frames are counted from 1")
    return numbers


def require_frames(image: Image, numbers: Sequence[int]) -> None:
    """Raises `HttpProblem` 404 where one is not there."""
    if max(numbers) > image.frames:
        raise HttpProblem(404, f"there are {image.frames} frames")


def native_range(image: Image, number: int) -> tuple[int, int, int]:
    """Offset and length in the data set of the bytes that hold a native frame, and in which bit it begins.
    Raises `HttpProblem` 404 where the pixel data ends before."""
    assert image.pixels.length is not None
    first = (number - 1) * image.frame_bits
    begin, end = first // 8, -(-(first + image.frame_bits) // 8)
    if end > image.pixels.length:
        raise HttpProblem(404, "the pixel data ends before this frame")
    return image.pixels.offset + begin, end - begin, first % 8


def aligned(image: Image, data: bytes, bit: int) -> bytes:
    """A native frame in little endian, beginning with its first bit (PS3.5 8.1.1, D.1)."""
    if image.allocated == 1:
        value = (int.from_bytes(data, "little") >> bit) & ((1 << image.frame_bits) - 1)
        return value.to_bytes(-(-image.frame_bits // 8), "little")
    if encoding_of(image.transfer_syntax).big_endian and (image.allocated > 8 or image.pixels.vr == "OW"):
        width = max(2, image.allocated // 8)
        whole = len(data) - len(data) % width
        return b"".join([data[i : i + width][::-1] for i in range(0, whole, width)]) + data[whole:]
    return data
