"""Colours (PS3.3 C.7.6.3.1.2) against pydicom's conversion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.pixels.processing import convert_color_space

from gantry.services.retrieve.pixels.colours import halved, to_rgb, whole
from gantry.services.retrieve.pixels.worker import CannotDo

Array = np.ndarray[Any, np.dtype[Any]]


def pixels(seed: int, rows: int = 8, columns: int = 8) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


@given(st.integers(0, 1000))
def test_full_range_agrees_with_pydicom(seed: int) -> None:
    samples = pixels(seed)
    theirs = convert_color_space(samples, "YBR_FULL", "RGB")
    assert int(np.abs(to_rgb(samples, "YBR_FULL", 8).astype(int) - theirs.astype(int)).max()) <= 1


@pytest.mark.parametrize(
    ("photometric", "ybr", "rgb"),
    [
        ("YBR_FULL", (0, 128, 128), (0, 0, 0)),
        ("YBR_FULL", (255, 128, 128), (255, 255, 255)),
        ("YBR_FULL_422", (76, 85, 255), (254, 0, 0)),
        ("YBR_PARTIAL_422", (16, 128, 128), (0, 0, 0)),
        ("YBR_PARTIAL_420", (235, 128, 128), (255, 255, 255)),
    ],
)
def test_black_white_and_red_are_where_the_standard_has_them(
    photometric: str, ybr: tuple[int, ...], rgb: tuple[int, ...]
) -> None:
    colour = to_rgb(np.array([[ybr]], np.uint8), photometric, 8)
    assert colour.tolist() == [[list(rgb)]]


def test_twelve_bits_are_brighter_eight_bits() -> None:
    wide = np.array([[[4095, 2048, 2048], [0, 2048, 2048]]], np.uint16)
    assert to_rgb(wide, "YBR_FULL", 12).tolist() == [[[4095] * 3, [0] * 3]]


def test_rgb_is_not_touched_and_what_is_not_known_is_refused() -> None:
    samples = pixels(1)
    assert to_rgb(samples, "RGB", 8) is samples
    for photometric in ("YBR_RCT", "CMYK", "", "HSV"):
        with pytest.raises(CannotDo):
            to_rgb(samples, photometric, 8)


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 6))
def test_chrominance_that_is_shared_survives_there_and_back(seed: int, rows: int, pairs: int) -> None:
    full = whole(np.random.default_rng(seed).integers(0, 256, (rows, pairs, 4), dtype=np.uint8))
    assert full.shape == (rows, 2 * pairs, 3)
    assert np.array_equal(full[:, 0::2, 1:], full[:, 1::2, 1:])
    assert np.array_equal(whole(halved(full)), full)


def test_pairs_are_two_luminance_samples_and_then_both_chrominances() -> None:
    """PS3.3 C.7.6.3.1.2: Y1, Y2, CB1, CR1."""
    assert whole(np.array([[[1, 2, 3, 4]]], np.uint8)).tolist() == [[[1, 3, 4], [2, 3, 4]]]


def test_chrominance_is_that_of_the_first_column_of_a_pair() -> None:
    """Co-sited, as the standard says."""
    assert halved(np.array([[[1, 3, 4], [2, 9, 9]]], np.uint8)).tolist() == [[[1, 2, 3, 4]]]
