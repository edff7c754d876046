"""A frame as a picture of 8 bits, grey or RGB (PS3.4 N.2, PS3.18 8.3.5.1). Runs in worker processes.

If a frame cannot be shown correctly, `CannotDo` is raised with a reason; there is never a wrong picture.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image as Pictures

from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.services.retrieve.pixels.colours import to_rgb
from gantry.services.retrieve.pixels.decoding import decoded, require_size
from gantry.services.retrieve.pixels.display import Display, header_of
from gantry.services.retrieve.pixels.geometry import fitted
from gantry.services.retrieve.pixels.greys import Lut, bytes_of, looked_up, p_values, stored_values, windowed
from gantry.services.retrieve.pixels.image import Image
from gantry.services.retrieve.pixels.look import PICTURES, RenderingParameters, VoiWindow
from gantry.services.retrieve.pixels.overlays import overlay_of
from gantry.services.retrieve.pixels.palettes import coloured, palette_of
from gantry.services.retrieve.pixels.worker import CannotDo, Files

Array = np.ndarray[Any, np.dtype[Any]]

MAX_PIXELS = 1 << 28
_BY_VALUE = 1 << 16
"""Number of different values up to which each is computed once and looked up, not computed for every pixel."""


def render(files: Files, image: Image, header_length: int, look: RenderingParameters, number: int) -> None:
    """Append a picture of frame `number` to the output. The input is the header, then the frame."""
    if image.rows * image.columns > MAX_PIXELS:
        raise CannotDo("the image is too large to be shown")
    require_size(image)
    header = header_of(bytes(files.input[:header_length]), image.transfer_syntax)
    picture = shown(image, header, bytes(files.input[header_length:]), look, number)
    files.write(encoded(picture, look))


def shown(image: Image, header: Any, frame: bytes, look: RenderingParameters, number: int) -> Array:
    """The picture as an array."""
    order = ">" if encoding_of(image.transfer_syntax).big_endian else "<"
    display = Display(header, number, order)
    array, photometric = decoded(image, frame)
    if array.ndim == 3:
        picture = _colour(image, array, photometric)
    elif photometric == "PALETTE COLOR":
        picture = coloured(palette_of(header, order), stored_values(image, array))
    elif photometric in ("MONOCHROME1", "MONOCHROME2"):
        picture = _grey(image, header, display, array, look, order)
    else:
        raise CannotDo(f"photometric interpretation {photometric} cannot be shown")
    graphics = overlay_of(header, array, number, order)
    if graphics is not None:
        picture[graphics] = 255
    return picture if look.viewport is None else fitted(picture, look.viewport, display.aspect)


def _colour(image: Image, array: Array, photometric: str) -> Array:
    if array.shape[2] != 3 or array.dtype.kind == "f":
        raise CannotDo(f"photometric interpretation {photometric} cannot be shown")
    values = stored_values(image, array)
    if image.signed:
        raise CannotDo("colour in signed samples cannot be shown")
    values = to_rgb(values, photometric, image.stored)
    if image.stored == 8:
        return values.astype(np.uint8)
    return bytes_of(values.astype(np.float64) / float((1 << image.stored) - 1))


def _grey(image: Image, header: Any, display: Display, array: Array, look: RenderingParameters, order: str) -> Array:
    stored = stored_values(image, array)
    greys = _by_value(stored, lambda values: _greys(image, display, values, look))
    if str(header.get("PixelPresentation") or "").strip() not in ("COLOR", "MIXED"):
        return greys
    # PS3.3 C.8.16.2.1.1.1: values from the first mapped value on are in colour, those below it are grey.
    palette = palette_of(header, order)
    picture = np.repeat(greys[..., None], 3, axis=2)
    mapped = stored >= palette[0].first
    picture[mapped] = coloured(palette, stored[mapped])
    return picture


def _greys(image: Image, display: Display, stored: Array, look: RenderingParameters) -> Array:
    """PS3.4 N.2.1: modality, then VOI, then presentation."""
    voi = look.window if isinstance(look.window, VoiWindow) else display.voi(look.window)
    if voi is None:
        displayed = p_values(display.modality, image, stored)
    else:
        values = display.modality.of(stored)
        displayed = looked_up(voi, values) if isinstance(voi, Lut) else windowed(voi, values)
    return bytes_of(1.0 - displayed if display.is_inverse else displayed)


def _by_value(stored: Array, greys: Callable[[Array], Array]) -> Array:
    """`greys`, applied to each value once if there are few different values."""
    if stored.dtype.kind == "f" or not stored.size:
        return greys(stored)
    low, high = int(stored.min()), int(stored.max())
    if high - low >= min(_BY_VALUE, stored.size):
        return greys(stored)
    table: Array = greys(np.arange(low, high + 1, dtype=np.int64))
    return table[stored.astype(np.int64) - low]


def encoded(picture: Array, look: RenderingParameters) -> bytes:
    """The picture in the requested media type."""
    out = BytesIO()
    more = {"quality": look.quality} if look.kind == "image/jpeg" else {}
    Pictures.fromarray(np.ascontiguousarray(picture)).save(out, PICTURES[look.kind], **more)
    return out.getvalue()
