"""Overlays (PS3.3 C.9.2), against pydicom's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gantry.services.retrieve.pixels.overlays import overlay_of

Array = np.ndarray[Any, np.dtype[Any]]


def header(bits: Array | None, group: int = 0x6000, origin: tuple[int, int] = (1, 1), **more: int) -> Dataset:
    """A data set with one overlay plane; `more` are elements by their number in hexadecimal."""
    ds = Dataset()
    ds.add_new(group << 16 | 0x0040, "CS", "G")
    ds.add_new(group << 16 | 0x0050, "SS", list(origin))
    if bits is not None:
        ds.add_new(group << 16 | 0x0010, "US", bits.shape[-2])
        ds.add_new(group << 16 | 0x0011, "US", bits.shape[-1])
        ds.add_new(group << 16 | 0x0100, "US", 1)
        packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
        ds.add_new(group << 16 | 0x3000, "OW", packed + b"\0" * (len(packed) % 2))
    for element, value in more.items():
        ds.add_new(group << 16 | int(element[1:], 16), "IS" if element == "x0015" else "US", value)
    return ds


def over(ds: Dataset, rows: int = 6, columns: int = 5, number: int = 1, order: str = "<") -> Array | None:
    return overlay_of(ds, np.zeros((rows, columns), np.uint16), number, order)


@given(st.integers(0, 1000), st.sampled_from([0x6000, 0x6002, 0x601E]))
def test_an_overlay_lies_where_pydicom_has_it(seed: int, group: int) -> None:
    bits = np.random.default_rng(seed).integers(0, 2, (6, 5)).astype(bool)
    ds = header(bits, group)
    overlay = over(ds)
    assert overlay is not None
    assert np.array_equal(overlay, ds.overlay_array(group).astype(bool))


@given(st.integers(-8, 10), st.integers(-8, 10), st.integers(1, 7), st.integers(1, 7))
def test_an_overlay_covers_the_image_as_far_as_both_meet(top: int, left: int, rows: int, columns: int) -> None:
    """C.9.2.1.1: the origin is 1\\1 for the first pixel, and may lie outside."""
    overlay = over(header(np.ones((rows, columns), bool), origin=(top, left)))
    expected = [[top <= y < top + rows and left <= x < left + columns for x in range(1, 6)] for y in range(1, 7)]
    assert overlay is not None
    assert overlay.tolist() == expected


def test_in_big_endian_words_are_turned() -> None:
    bits = np.random.default_rng(1).integers(0, 2, (6, 5)).astype(bool)
    ds = header(bits)
    ds[0x60003000].value = np.frombuffer(ds[0x60003000].value, "<u2").astype(">u2").tobytes()
    overlay = over(ds, order=">")
    assert overlay is not None
    assert np.array_equal(overlay, bits)


@pytest.mark.parametrize(("number", "plane"), [(1, None), (2, 0), (3, 1), (4, None)])
def test_an_overlay_of_several_frames_begins_with_the_frame_that_it_names(number: int, plane: int | None) -> None:
    """C.9.2.1.4: Image Frame Origin."""
    planes = np.array([np.eye(6, 5, k=k, dtype=bool) for k in range(2)])
    overlay = over(header(planes, x0015=2, x0051=2), number=number)
    if plane is None:
        assert overlay is None
    else:
        assert overlay is not None
        assert np.array_equal(overlay, planes[plane])


def test_several_overlays_lie_over_each_other() -> None:
    ds = header(np.eye(6, 5, dtype=bool))
    ds.update(header(np.eye(6, 5, k=1, dtype=bool), 0x6004))
    overlay = over(ds)
    assert overlay is not None
    assert np.array_equal(overlay, np.eye(6, 5, dtype=bool) | np.eye(6, 5, k=1, dtype=bool))


def test_a_bit_beside_the_sample_can_be_an_overlay() -> None:
    """Retired: without overlay data, the bit position names it."""
    array = np.array([[0x1000, 0x0FFF], [0x9000, 0]], np.uint16)
    overlay = overlay_of(header(None, x0102=12), array, 1, "<")
    assert overlay is not None
    assert overlay.tolist() == [[True, False], [True, False]]
    assert overlay_of(header(None, x0102=16), array, 1, "<") is None


@pytest.mark.parametrize("ds", [Dataset(), header(None), header(np.ones((0, 0), bool))])
def test_without_graphics_there_is_no_overlay(ds: Dataset) -> None:
    assert over(ds) is None


def test_a_region_of_interest_is_no_graphic() -> None:
    """C.9.2.1.2: type R."""
    ds = header(np.ones((6, 5), bool))
    ds[0x60000040].value = "R"
    assert over(ds) is None


def test_data_that_is_too_short_is_no_overlay() -> None:
    ds = header(np.ones((6, 5), bool))
    ds[0x60003000].value = b"\xff\xff"
    assert over(ds) is None
