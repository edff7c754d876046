"""Palettes (PS3.3 C.7.6.3.1.5, C.7.9), against pydicom's."""

from __future__ import annotations

import struct

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from gantry.services.retrieve.pixels.palettes import coloured, expanded, palette_of
from gantry.services.retrieve.pixels.worker import CannotDo
from tests.support.dicom import bundled

COLOURS = ("Red", "Green", "Blue")


def header(count: int, first: int, bits: int, *data: bytes, segmented: bool = False) -> Dataset:
    ds = Dataset()
    for colour, value in zip(COLOURS, data * (3 // len(data)), strict=True):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [count, first, bits])
        setattr(ds, f"{'Segmented' * segmented}{colour}PaletteColorLookupTableData", value)
    return ds


@given(
    st.integers(2, 300),
    st.integers(0, 20),
    st.integers(0, 1000),
)
def test_colours_agree_with_pydicom(count: int, first: int, seed: int) -> None:
    dice = np.random.default_rng(seed)
    ds = header(count, first, 16, *(dice.integers(0, 65536, count, dtype=np.uint16).tobytes() for _ in COLOURS))
    values = dice.integers(0, 400, (8, 8), dtype=np.uint16)
    theirs = apply_color_lut(values, ds)
    assert np.array_equal(coloured(palette_of(ds, "<"), values), (theirs >> 8).astype(np.uint8))


def test_entries_of_eight_bits_lie_two_in_a_word() -> None:
    ds = header(4, 0, 8, bytes((1, 2, 3, 255)))
    colours = coloured(palette_of(ds, "<"), np.array([[0, 1, 2, 3]]))
    assert colours[0, :, 0].tolist() == [1, 2, 3, 255]


def test_0_entries_are_65536() -> None:
    """C.7.6.3.1.5."""
    ds = header(0, 0, 16, np.arange(65536, dtype=np.uint16).tobytes())
    assert len(palette_of(ds, "<")[0].entries) == 65536


@pytest.mark.parametrize(
    ("numbers", "entries"),
    [
        ([0, 3, 7, 8, 9], [7, 8, 9]),
        ([0, 1, 0, 1, 4, 8], [0, 2, 4, 6, 8]),
        ([0, 1, 8, 1, 4, 0], [8, 6, 4, 2, 0]),
        ([0, 2, 5, 6, 2, 1, 0, 0], [5, 6, 5, 6]),  # from byte 0 on, one segment again
        ([0, 1, 0, 1, 2, 4, 2, 1, 6, 0], [0, 2, 4, 4, 4]),  # a line again, from where it had ended
        ([], []),
    ],
)
def test_segments_are_discrete_linear_or_indirect(numbers: list[int], entries: list[int]) -> None:
    """C.7.9.2.1 to C.7.9.2.3."""
    assert expanded(numbers, wide=True) == entries


def test_the_offset_of_an_indirect_segment_is_in_four_numbers_of_eight_bits() -> None:
    assert expanded([0, 2, 5, 6, 2, 1, 0, 0, 0, 0], wide=False) == [5, 6, 5, 6]


@pytest.mark.parametrize(
    "numbers",
    [
        [1, 2, 3],  # a line that begins nowhere
        [3, 1, 0],
        [0, 1, 5, 2, 1],
        [0, 1, 5, 1, 0xFFFF, 7, 1, 0xFFFF, 7],
        [0, 1, 5, 2, 2, 0, 0],  # indirect into indirect
    ],
)
def test_segments_that_cannot_be_are_refused(numbers: list[int]) -> None:
    with pytest.raises(CannotDo):
        expanded(numbers, wide=True)


@given(st.lists(st.integers(0, 3) | st.integers(0, 0xFFFF), max_size=30), st.booleans())
def test_no_segments_raise_anything_else_and_none_become_too_long(numbers: list[int], wide: bool) -> None:
    try:
        assert len(expanded(numbers, wide=wide)) <= 1 << 16
    except CannotDo:
        pass


@pytest.mark.parametrize("path", [p for p in bundled() if "palette" in p.name.lower() or "SEGMENTED" in p.name.upper()])
def test_bundled_palettes_agree_with_pydicom(path: object) -> None:
    ds = pydicom.dcmread(path)
    if (
        "PixelData" not in ds
        or ds.file_meta.TransferSyntaxUID.is_compressed
        or ds.PhotometricInterpretation != "PALETTE COLOR"
    ):
        pytest.skip("not a native palette image")
    theirs = apply_color_lut(ds.pixel_array, ds)
    if theirs.dtype == np.uint16:
        theirs = (theirs >> 8).astype(np.uint8)
    order = "<" if ds.file_meta.TransferSyntaxUID.is_little_endian else ">"
    assert np.array_equal(coloured(palette_of(ds, order), ds.pixel_array), theirs)


def test_a_segmented_palette_has_as_many_entries_as_its_descriptor_says() -> None:
    segments = struct.pack("<6H", 0, 1, 0, 1, 3, 0xFFFF)
    assert palette_of(header(4, 0, 16, segments, segmented=True), "<")[1].entries.tolist() == [0, 21845, 43690, 65535]
    assert len(palette_of(header(3, 0, 16, segments, segmented=True), "<")[1].entries) == 3
    with pytest.raises(CannotDo, match="shorter"):
        palette_of(header(5, 0, 16, segments, segmented=True), "<")


def test_a_palette_that_is_missing_is_refused() -> None:
    with pytest.raises(CannotDo):
        palette_of(Dataset(), "<")
