"""Regions of pictures, turned and scaled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.services.retrieve.pixels.geometry import fitted
from gantry.services.retrieve.pixels.look import Viewport
from gantry.services.retrieve.pixels.worker import CannotDo

PICTURE: np.ndarray[Any, Any] = np.arange(48, dtype=np.uint8).reshape(6, 8)


def test_at_its_own_size_a_picture_is_not_changed() -> None:
    assert np.array_equal(fitted(PICTURE, Viewport(8, 6), 1.0), PICTURE)


@pytest.mark.parametrize(
    ("width", "height", "turned"),
    [(-8, 6, PICTURE[:, ::-1]), (8, -6, PICTURE[::-1]), (-8, -6, PICTURE[::-1, ::-1])],
    ids=["mirrored", "upside down", "both"],
)
def test_a_negative_extent_turns_the_picture(width: int, height: int, turned: np.ndarray[Any, Any]) -> None:
    """PS3.18 8.3.5.1.3."""
    assert np.array_equal(fitted(PICTURE, Viewport(8, 6, 0, 0, width, height), 1.0), turned)


def test_a_region_is_cut_out() -> None:
    assert np.array_equal(fitted(PICTURE, Viewport(3, 2, 1, 2, 3, 2), 1.0), PICTURE[2:4, 1:4])


def test_enlarged_samples_are_repeated() -> None:
    assert np.array_equal(fitted(PICTURE, Viewport(16, 12), 1.0), np.repeat(np.repeat(PICTURE, 2, 0), 2, 1))


def test_reduced_samples_are_means() -> None:
    expected = np.rint(PICTURE.reshape(3, 2, 4, 2).mean(axis=(1, 3)))
    assert int(np.abs(fitted(PICTURE, Viewport(4, 3), 1.0) - expected).max()) <= 1


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 30), st.integers(1, 30), st.integers(0, 255))
def test_one_colour_stays_that_colour_at_any_size(width: int, height: int, columns: int, rows: int, value: int) -> None:
    picture = np.full((rows, columns, 3), value, np.uint8)
    scaled = fitted(picture, Viewport(width, height, enlarge=False), 1.0)
    assert scaled.dtype == np.uint8
    assert scaled.shape[0] <= height
    assert scaled.shape[1] <= width
    assert (scaled == value).all()


def test_pixels_that_are_higher_than_wide_make_a_higher_picture() -> None:
    assert fitted(PICTURE, Viewport(100, 12), 2.0).shape == (12, 8)


def test_a_region_beside_the_image_cannot_be_shown() -> None:
    with pytest.raises(CannotDo):
        fitted(PICTURE, Viewport(8, 6, 100, 100), 1.0)
