"""A region of a picture, flipped and scaled (PS3.18 8.3.5.1.3). Runs in worker processes."""

from __future__ import annotations

from typing import Any

import numpy as np

from gantry.services.retrieve.pixels.look import Viewport, picture_size, region_of
from gantry.services.retrieve.pixels.worker import CannotDo

Array = np.ndarray[Any, np.dtype[Any]]


def fitted(picture: Array, viewport: Viewport, aspect: float) -> Array:
    """The region of the viewport, as large as fits, with its proportions. Raises `CannotDo`."""
    try:
        region = region_of(viewport, picture.shape[1], picture.shape[0])
        columns, rows = picture_size(viewport, region.columns, region.rows, aspect)
    except ValueError as error:
        raise CannotDo(str(error)) from None
    shown = picture[region.top : region.top + region.rows, region.left : region.left + region.columns]
    shown = shown[:: -1 if region.upside_down else 1, :: -1 if region.mirrored else 1]
    return _scaled(_scaled(shown, 0, rows), 1, columns)


def _scaled(picture: Array, axis: int, count: int) -> Array:
    """Scaled along one axis: the mean of merged samples when shrinking, the nearest sample when enlarging."""
    have = picture.shape[axis]
    if count == have:
        return picture
    edges = np.linspace(0, have, count + 1)
    starts = edges[:-1].astype(int)
    if count > have:
        return np.take(picture, starts, axis=axis)
    shape = [-1 if place == axis else 1 for place in range(picture.ndim)]
    sums = np.add.reduceat(picture.astype(np.float32), starts, axis=axis)
    means = sums / np.diff([*starts, have]).reshape(shape)
    return np.clip(np.rint(means), 0, 255).astype(np.uint8)
