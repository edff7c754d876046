"""How samples become greys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from libs.common.events import PixelData
from services.retrieve.decoding import Look, render
from services.retrieve.images import Image
from tests.unit.services.retrieve.test_web import shown_by

IMAGE = Image(
    transfer_syntax="1.2.840.10008.1.2.1",
    pixels=PixelData(0x7FE00010, "OW", 0, 0),
    extended_offsets=None,
    samples=1,
    photometric="MONOCHROME2",
    planar=0,
    frames=1,
    rows=32,
    columns=32,
    allocated=16,
    stored=16,
    high_bit=15,
    signed=0,
    window=None,
    rescale=(1.0, 0.0),
)


@pytest.mark.parametrize("dtype", ["<u1", "<u2", "<i2", "<u4"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("rescale", [(1.0, 0.0), (-2.5, 100.0)])
@pytest.mark.parametrize("window", [None, (40.0, 400.0), (-1000.0, 1.0)])
def test_each_sample_has_the_grey_that_the_linear_function_gives(
    dtype: str, photometric: str, rescale: tuple[float, float], window: tuple[float, float] | None
) -> None:
    kind = np.dtype(dtype)
    low, high = (-2000, 2000) if kind.kind == "i" else (0, 255 if kind.itemsize == 1 else 3000)
    pixels = np.random.default_rng(1).integers(low, high, (32, 32), endpoint=True).astype(kind)
    bits = 8 * kind.itemsize
    image = replace(
        IMAGE,
        photometric=photometric,
        rescale=rescale,
        allocated=bits,
        stored=bits,
        high_bit=bits - 1,
        signed=int(kind.kind == "i"),
    )
    shown = shown_by(render(image, pixels.tobytes(), Look(window, kind="image/png")))
    values = pixels * rescale[0] + rescale[1]
    lowest, highest = values.min(), values.max()
    center, width = window or ((lowest + highest) / 2 + 0.5, highest - lowest + 1)
    # PS3.3 C.11.2.1.2.1, with y from 0 to 255.
    greys = np.clip(((values - (center - 0.5)) / max(width - 1, 1e-6) + 0.5) * 255, 0, 255)
    expected = np.rint(255 - greys if photometric == "MONOCHROME1" else greys)
    assert np.abs(shown.astype(int) - expected).max() <= 1
    assert (shown == expected).mean() > 0.95
