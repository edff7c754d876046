"""One frame decoded, and shown as a picture: what worker processes do (`services.retrieve.conversion.Converter.run`).

Raises anything: what is decoded is hostile ground. numpy, pydicom and Pillow are imported by those who decode alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.retrieve.images import Image


@dataclass(frozen=True, slots=True)
class Look:
    """How a frame is shown: window center and width in rescaled values (None: the object's, or all there is), the most
    columns and rows of the picture, its media type, and its quality from 1 to 100 where that is lossy."""

    window: tuple[float, float] | None = None
    size: tuple[int, int] | None = None
    kind: str = "image/jpeg"
    quality: int = 90


MAX_PIXELS = 1 << 28
PICTURES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF"}
"""Rendered media types (PS3.18 table 8.7.3-1), the default first, and what Pillow calls them."""


def decode(image: Image, frame: bytes) -> bytes:
    """The samples of a compressed frame, little endian, as explicit VR little endian has them."""
    from services.retrieve.rendering import samples_of

    return samples_of(image, frame)


def render(image: Image, frame: bytes, look: Look) -> bytes:
    """A picture of a frame: 8 bits, grey or RGB. `frame` is as stored, or native."""
    from services.retrieve.rendering import picture_of

    if image.rows * image.columns > MAX_PIXELS:
        raise ValueError("too large to show")
    return picture_of(image, frame, look)
