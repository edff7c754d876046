"""Images by their attributes alone, for tests of what is pure about them."""

from __future__ import annotations

from typing import Any

from gantry.common.dicom.scan.layout import PixelData
from gantry.services.retrieve.pixels.image import Image

EXPLICIT = "1.2.840.10008.1.2.1"


def image(transfer_syntax: str = EXPLICIT, **more: Any) -> Image:
    """Two by two samples of 16 bits unless said otherwise; `vr`, `offset`, `length` and `tag` are of the pixel data."""
    values: dict[str, Any] = {
        "samples": 1,
        "photometric": "MONOCHROME2",
        "planar": 0,
        "frames": 1,
        "rows": 2,
        "columns": 2,
        "allocated": 16,
        "signed": 0,
        **more,
    }
    values.setdefault("stored", values["allocated"])
    values.setdefault("high_bit", values["stored"] - 1)
    places = {
        name: values.pop(name, default)
        for name, default in {"tag": 0x7FE00010, "vr": "OW", "offset": 0, "length": 1 << 40}.items()
    }
    pixels = PixelData(**places)
    return Image(transfer_syntax=transfer_syntax, pixels=pixels, extended_offsets=None, **values)
