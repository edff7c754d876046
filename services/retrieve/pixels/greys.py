"""From stored values to displayed greys (PS3.4 N.2, PS3.3 C.11): modality LUT, VOI LUT, presentation.

Each step takes an array of numbers and returns a new one; none changes its argument. Runs in worker processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gantry.services.retrieve.pixels.image import Image
from gantry.services.retrieve.pixels.look import Function, VoiWindow
from gantry.services.retrieve.pixels.worker import CannotDo

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Lut:
    """PS3.3 C.11.1.1, C.11.2.1.1: entries of `bits` bits for the values from `first` on."""

    first: int
    bits: int
    entries: Array

    def of(self, values: Array) -> Array:
        """The entries for values: values below the first get the first entry, those above the last the last."""
        places = np.clip(np.rint(values).astype(np.int64) - self.first, 0, len(self.entries) - 1)
        greys: Array = self.entries[places]
        return greys


@dataclass(frozen=True, slots=True)
class ModalityTransformation:
    """From stored values to those of the modality: a table, or a linear function."""

    slope: float = 1.0
    intercept: float = 0.0
    lut: Lut | None = None

    def of(self, stored: Array) -> Array:
        """PS3.3 C.11.1."""
        if self.lut is not None:
            return self.lut.of(stored)
        if self.slope == 1.0 and self.intercept == 0.0:
            return stored
        return stored.astype(np.float64) * self.slope + self.intercept


def stored_values(image: Image, array: Array) -> Array:
    """The samples without the unused bits beside them, which may hold overlays or other data (PS3.5 8.1.1)."""
    if image.is_float or image.allocated == 1:
        return array
    if not image.stored - 1 <= image.high_bit < image.allocated:
        raise CannotDo("bits stored and high bit of the image cannot be")
    bits = array.dtype.itemsize * 8
    if image.stored == bits and image.high_bit == bits - 1:
        return array
    # Shift the sample to the top and back, which extends the sign.
    up = bits - 1 - image.high_bit
    wide: Array = (array << up) >> (bits - image.stored)
    return wide


def range_of(image: Image, array: Array) -> tuple[float, float]:
    """The least and the largest possible stored value: one range for all frames, so that a cine does not flicker.
    Floating point samples have none, so a single frame uses its own range. Raises `CannotDo` for several."""
    if image.is_float:
        finite = array[np.isfinite(array)]
        if image.frames > 1 or not finite.size:
            raise CannotDo("samples are floating point numbers, and no window says what of them to show")
        return float(finite.min()), float(finite.max())
    if image.allocated == 1:
        return 0.0, 1.0
    if image.signed:
        return -float(1 << (image.stored - 1)), float((1 << (image.stored - 1)) - 1)
    return 0.0, float((1 << image.stored) - 1)


def p_values(modality: ModalityTransformation, image: Image, stored: Array) -> Array:
    """PS3.4 N.2.3: without a VOI LUT the transformation is identity, from the whole range of modality values to the
    whole range of displayed values. From 0 to 1."""
    if modality.lut is not None:
        low, high = 0.0, float((1 << modality.lut.bits) - 1)
    else:
        ends = [end * modality.slope + modality.intercept for end in range_of(image, stored)]
        low, high = min(ends), max(ends)
    values = modality.of(stored).astype(np.float64)
    return np.clip((values - low) / ((high - low) or 1.0), 0.0, 1.0)


def windowed(window: VoiWindow, values: Array) -> Array:
    """PS3.3 C.11.2.1.2, C.11.2.1.3, with y from 0 to 1."""
    if not window.is_possible:
        raise CannotDo("the width of the window cannot be")
    x, center, width = values.astype(np.float64), window.center, window.width
    if window.function is Function.SIGMOID:
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (x - center) / width, -700.0, 700.0)))
    if window.function is Function.LINEAR_EXACT:
        return np.clip((x - center) / width + 0.5, 0.0, 1.0)
    if width == 1:
        return (x > center - 0.5).astype(np.float64)
    return np.clip((x - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def looked_up(lut: Lut, values: Array) -> Array:
    """PS3.3 C.11.2.1.1: a VOI LUT, with y from 0 to 1."""
    return lut.of(values).astype(np.float64) / float((1 << lut.bits) - 1)


def bytes_of(shown: Array) -> Array:
    """0 to 1 as 0 to 255."""
    return np.clip(np.rint(np.nan_to_num(shown) * 255.0), 0, 255).astype(np.uint8)
