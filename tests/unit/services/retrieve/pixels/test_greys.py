"""From stored values to greys (PS3.4 N.2, PS3.3 C.11), against pydicom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_windowing

from gantry.services.retrieve.pixels.greys import (
    Lut,
    ModalityTransformation,
    bytes_of,
    looked_up,
    p_values,
    range_of,
    stored_values,
    windowed,
)
from gantry.services.retrieve.pixels.look import Function, VoiWindow
from gantry.services.retrieve.pixels.worker import CannotDo
from tests.unit.services.retrieve.images import image

Array = np.ndarray[Any, np.dtype[Any]]
VALUES: Array = np.arange(-2000, 2001, 7, dtype=np.int16)


@pytest.mark.parametrize("function", Function)
@given(center=st.integers(-1000, 1000), width=st.integers(2, 3000))
def test_a_window_agrees_with_pydicom(function: Function, center: int, width: int) -> None:
    """PS3.3 C.11.2.1.2, C.11.2.1.3."""
    ds = Dataset()
    ds.PhotometricInterpretation, ds.BitsStored, ds.PixelRepresentation = "MONOCHROME2", 16, 1
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = center, width, function.value
    theirs = apply_windowing(VALUES, ds)
    low, high = -(1 << 15), (1 << 15) - 1
    ours = windowed(VoiWindow(center, width, function), VALUES)
    assert np.allclose(ours, (theirs - low) / (high - low), atol=1e-6)


def test_a_width_of_one_is_black_or_white() -> None:
    """The note of C.11.2.1.2.1."""
    values = windowed(VoiWindow(0, 1), np.array([-1, -0.5, -0.4, 0, 1]))
    assert values.tolist() == [0, 0, 1, 1, 1]


@given(st.floats(-1e6, 1e6), st.floats(1, 1e6), st.sampled_from(Function))
def test_a_window_gives_0_to_1_and_never_darker_for_larger_values(
    center: float, width: float, function: Function
) -> None:
    values = windowed(VoiWindow(center, width, function), np.linspace(-2e6, 2e6, 400))
    assert values.min() >= 0
    assert values.max() <= 1
    assert (np.diff(values) >= 0).all()


@pytest.mark.parametrize(
    "window",
    [VoiWindow(0, 0), VoiWindow(0, 0.5), VoiWindow(0, 0, Function.SIGMOID), VoiWindow(0, -1, Function.LINEAR_EXACT)],
)
def test_a_width_that_cannot_be_is_refused(window: VoiWindow) -> None:
    with pytest.raises(CannotDo):
        windowed(window, VALUES)


def test_values_beside_a_table_get_its_ends() -> None:
    """PS3.3 C.11.1.1, C.11.2.1.1."""
    lut = Lut(-10, 8, np.array([5, 6, 255]))
    assert lut.of(np.array([-100, -10, -9, -8, 7])).tolist() == [5, 5, 6, 255, 255]
    assert looked_up(lut, np.array([-8])).tolist() == [1.0]


def test_the_modality_is_a_line_or_a_table() -> None:
    stored = np.array([0, 1, 2], np.uint16)
    assert ModalityTransformation(2.0, -1024.0).of(stored).tolist() == [-1024, -1022, -1020]
    assert ModalityTransformation().of(stored) is stored
    assert ModalityTransformation(2.0, 1.0, Lut(0, 8, np.array([9, 8, 7]))).of(stored).tolist() == [9, 8, 7]


@given(st.integers(1, 16), st.data(), st.booleans())
def test_bits_beside_the_sample_do_not_count(stored: int, data: st.DataObject, signed: bool) -> None:
    """PS3.5 8.1.1: high bit and bits stored say where the sample lies in its cell."""
    high = data.draw(st.integers(stored - 1, 15))
    low = -(1 << (stored - 1)) if signed else 0
    value = data.draw(st.integers(low, low + (1 << stored) - 1))
    noise = data.draw(st.integers(0, 0xFFFF))
    mask = ((1 << stored) - 1) << (high + 1 - stored)
    cell = (value << (high + 1 - stored)) & mask | noise & ~mask & 0xFFFF
    array = np.array([cell], np.uint16).view(np.int16 if signed else np.uint16)
    made = image(stored=stored, high_bit=high, signed=int(signed))
    assert stored_values(made, array).tolist() == [value]


@pytest.mark.parametrize(("stored", "high"), [(12, 10), (12, 16), (16, 20)])
def test_a_high_bit_that_cannot_be_is_refused(stored: int, high: int) -> None:
    with pytest.raises(CannotDo):
        stored_values(image(stored=stored, high_bit=high), np.zeros(4, np.uint16))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"stored": 12}, (0, 4095)),
        ({"stored": 12, "signed": 1}, (-2048, 2047)),
        ({"allocated": 1}, (0, 1)),
        ({"allocated": 8}, (0, 255)),
    ],
)
def test_the_range_is_one_for_all_frames(more: dict[str, Any], expected: tuple[float, float]) -> None:
    assert range_of(image(**more), np.array([1])) == expected


def test_floating_point_numbers_have_a_range_of_their_own_in_a_single_frame_only() -> None:
    array = np.array([1.5, np.nan, -2.0, np.inf])
    assert range_of(image(tag=0x7FE00008, allocated=32), array) == (-2.0, 1.5)
    with pytest.raises(CannotDo):
        range_of(image(tag=0x7FE00008, allocated=32, frames=2), array)
    with pytest.raises(CannotDo):
        range_of(image(tag=0x7FE00008, allocated=32), np.array([np.nan]))


@pytest.mark.parametrize("slope", [1.0, 2.5, -1.0])
def test_without_a_window_the_whole_range_is_shown(slope: float) -> None:
    """PS3.4 N.2.3; with a negative slope what is stored larger is darker."""
    values = p_values(ModalityTransformation(slope, 7.0), image(stored=12), np.array([0, 4095], np.uint16))
    assert values.tolist() == ([0, 1] if slope > 0 else [1, 0])


def test_a_table_of_the_modality_has_the_range_of_its_bits() -> None:
    values = p_values(
        ModalityTransformation(lut=Lut(0, 8, np.array([0, 255, 51]))), image(), np.array([0, 1, 2], np.uint16)
    )
    assert values.tolist() == [0, 1, 0.2]


def test_0_to_1_is_0_to_255_and_what_is_no_number_is_black() -> None:
    assert bytes_of(np.array([0, 0.5, 1, 2, -1, np.nan])).tolist() == [0, 128, 255, 255, 0, 0]
