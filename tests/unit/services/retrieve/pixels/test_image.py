"""What an image is made of and where its frames lie (PS3.5 8), against pydicom."""

from __future__ import annotations

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.utils import get_expected_length

from gantry.common.dicom.scan.layout import BulkElement, Layout, PixelData
from gantry.services.retrieve.pixels.image import (
    NoFrame,
    NoImage,
    frame_numbers,
    image_of,
    native_frame,
    require_frames,
)
from tests.support.dicom import BIG_ENDIAN, EXPLICIT, IMPLICIT, bundled_file, to_bytes
from tests.unit.services.retrieve.images import image

GE = "1.2.840.113619.5.2"
LAYOUT = Layout(100, (), PixelData(0x7FE00010, "OW", 112, 8))


def header(**values: object) -> bytes:
    ds = Dataset()
    for keyword, value in {"Rows": 2, "Columns": 2, "BitsAllocated": 16, "BitsStored": 12, **values}.items():
        if value is not None:
            setattr(ds, keyword, value)
    return to_bytes(ds, EXPLICIT)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "liver_1frame.dcm", "rtdose.dcm"])
def test_a_frame_is_as_long_as_pydicom_expects(name: str) -> None:
    ds = pydicom.dcmread(bundled_file(name))
    pixels = PixelData(0x7FE00010, "OW", 0, len(ds.PixelData))
    syntax = ds.file_meta.TransferSyntaxUID
    picture = image_of(to_bytes(ds, syntax), syntax, Layout(0, (), pixels))
    assert -(-picture.frames * picture.frame_bits // 8) == get_expected_length(ds)
    assert (picture.rows, picture.columns, picture.samples) == (ds.Rows, ds.Columns, ds.SamplesPerPixel)


def test_what_is_not_said_is_what_the_standard_takes_it_for() -> None:
    picture = image_of(header(), EXPLICIT, LAYOUT)
    assert (picture.samples, picture.frames, picture.planar, picture.signed, picture.photometric) == (
        1,
        1,
        0,
        0,
        "MONOCHROME2",
    )
    assert (picture.stored, picture.high_bit) == (12, 11)
    assert image_of(header(BitsStored=None), EXPLICIT, LAYOUT).stored == 16
    assert image_of(header(NumberOfFrames=0), EXPLICIT, LAYOUT).frames == 1


def test_the_extended_offset_table_is_found_in_the_layout() -> None:
    layout = Layout(100, (BulkElement(0x7FE00001, "OV", 120, 16),), PixelData(0x7FE00010, "OB", 200, None))
    picture = image_of(header(), EXPLICIT, layout)
    assert picture.extended_offsets == (120, 16)
    assert picture.encapsulated


@pytest.mark.parametrize(
    "values",
    [
        {"Rows": 0},
        {"Columns": None},
        {"BitsAllocated": 12},
        {"BitsAllocated": 72, "BitsStored": 72},
        {"BitsStored": 17},
        {"SamplesPerPixel": 2},
        {"NumberOfFrames": -1},
        {"NumberOfFrames": 999_999_999},
    ],
)
def test_what_cannot_be_is_said_to_be_impossible(values: dict[str, object]) -> None:
    with pytest.raises(NoImage) as error:
        image_of(header(**values), EXPLICIT, LAYOUT)
    assert error.value.is_impossible


def test_an_object_without_pixel_data_has_no_frames() -> None:
    with pytest.raises(NoImage) as error:
        image_of(header(), EXPLICIT, Layout(100))
    assert not error.value.is_impossible


@pytest.mark.parametrize(
    ("syntax", "more", "swap"),
    [
        (EXPLICIT, {}, 1),
        (IMPLICIT, {}, 1),
        (BIG_ENDIAN, {}, 2),
        (BIG_ENDIAN, {"allocated": 8}, 2),  # OW is of words, whatever lies in them
        (BIG_ENDIAN, {"allocated": 8, "vr": "OB"}, 1),
        (BIG_ENDIAN, {"allocated": 32}, 4),
        (BIG_ENDIAN, {"length": None}, 1),
        (GE, {}, 2),
        (GE, {"allocated": 8}, 1),
    ],
)
def test_bytes_are_reversed_as_the_vr_says(syntax: str, more: dict[str, object], swap: int) -> None:
    """PS3.5 7.3, A.3."""
    assert image(syntax, **more).swap == swap


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 8, 16, 32]),
    st.integers(1, 12),
    st.booleans(),
    st.data(),
)
def test_native_frames_lie_behind_each_other_to_the_bit(
    rows: int, columns: int, allocated: int, frames: int, big: bool, data: st.DataObject
) -> None:
    """PS3.5 8.1.1: no padding between frames, even of single bits."""
    bits = rows * columns * allocated
    length = -(-frames * bits // 8)
    length += length & 1
    made = image(
        BIG_ENDIAN if big else EXPLICIT,
        rows=rows,
        columns=columns,
        allocated=allocated,
        frames=frames,
        offset=1000,
        length=length,
    )
    number = data.draw(st.integers(1, frames))
    place = native_frame(made, number)
    begin = (place.offset - 1000 + place.skip) * 8 + place.bit
    assert begin == (number - 1) * bits
    assert place.length >= place.skip + -(-(bits + place.bit) // 8)
    assert 1000 <= place.offset
    assert place.offset + place.length <= 1000 + length
    assert (place.offset - 1000) % place.swap == 0
    assert place.length % place.swap == 0 or place.offset + place.length == 1000 + length


def test_a_frame_behind_the_end_is_not_there() -> None:
    with pytest.raises(NoFrame):
        native_frame(image(frames=3, length=16), 3)
    with pytest.raises(NoFrame, match="3 frames"):
        require_frames(image(frames=3), [1, 4])
    require_frames(image(frames=3), [3, 1])


def test_subsampled_pixels_take_two_samples_each() -> None:
    """PS3.3 C.7.6.3.1.2."""
    full = image(samples=3, allocated=8, photometric="YBR_FULL")
    half = image(samples=3, allocated=8, photometric="YBR_FULL_422")
    assert (full.frame_bytes, half.frame_bytes) == (12, 8)
    assert half.most_bytes == full.frame_bytes


@pytest.mark.parametrize(("text", "numbers"), [("1", [1]), ("3,1,3", [3, 1, 3]), ("007", [7])])
def test_frames_are_asked_for_from_1_in_any_order(text: str, numbers: list[int]) -> None:
    """PS3.18 10.4.1.2."""
    assert frame_numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "0", "1,", "1,,2", "-1", "1.5", "a", "٣", "9" * 10, ",".join(["1"] * 10_001)])
def test_what_is_no_list_of_frames_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="frames"):
        frame_numbers(text)


def test_another_process_need_not_know_the_fragments() -> None:
    made = image_of(header(), EXPLICIT, Layout(9, (), PixelData(0x7FE00010, "OB", 9, None, (0, 4, 4))))
    assert made.alone.pixels.fragments is None
    assert made.alone.rows == made.rows
