"""Photometric interpretations of colour (PS3.3 C.7.6.3.1.2): conversion to RGB, and subsampling of chrominance."""

from __future__ import annotations

from typing import Any

import numpy as np

from gantry.services.retrieve.pixels.worker import CannotDo

Array = np.ndarray[Any, np.dtype[Any]]

# Rows are R, G and B of Y, Cb - middle and Cr - middle; then how far Y is scaled and from where it begins, of 255.
_FULL = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))
_PARTIAL_Y, _PARTIAL_C = 255 / 219, 255 / 224


def to_rgb(pixels: Array, photometric: str, stored: int) -> Array:
    """Pixels of three samples with `stored` bits in RGB, of the same type. Raises `CannotDo`."""
    if photometric == "RGB":
        return pixels
    if photometric not in ("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420"):
        raise CannotDo(f"photometric interpretation {photometric} cannot be shown")
    largest, middle = float((1 << stored) - 1), float(1 << (stored - 1))
    values = pixels.astype(np.float32)
    luminance, chrominance = values[..., 0], values[..., 1:] - middle
    if photometric.startswith("YBR_PARTIAL"):
        # PS3.3 C.7.6.3.1.2: black is 16 of 256 and white 235; chrominance has 225 levels.
        luminance = (luminance - 16 * (1 << (stored - 8))) * _PARTIAL_Y
        chrominance = chrominance * _PARTIAL_C
    blue, red = chrominance[..., 0], chrominance[..., 1]
    rows = [luminance * of_y + blue * of_cb + red * of_cr for of_y, of_cb, of_cr in _FULL]
    rgb: Array = np.clip(np.rint(np.stack(rows, axis=-1)), 0, largest).astype(pixels.dtype)
    return rgb


def whole(pairs: Array) -> Array:
    """PS3.3 C.7.6.3.1.2, YBR_FULL_422: two luminance samples, then the chrominance that both share. Expanded to three
    samples for every pixel."""
    rows, columns = pairs.shape[0], pairs.shape[1] * 2
    full = np.empty((rows, columns, 3), pairs.dtype)
    full[:, 0::2, 0], full[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    full[..., 1:] = np.repeat(pairs[..., 2:], 2, axis=1)
    return full


def halved(pixels: Array) -> Array:
    """The inverse of `whole`: chrominance of every second column, where it is co-sited with luminance."""
    pairs = np.empty((pixels.shape[0], pixels.shape[1] // 2, 4), pixels.dtype)
    pairs[..., 0], pairs[..., 1] = pixels[:, 0::2, 0], pixels[:, 1::2, 0]
    pairs[..., 2:] = pixels[:, 0::2, 1:]
    return pairs
