"""Two objects compared for a person: attributes at any depth, and pixels as samples."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from gantry.services.maintenance.comparing import AttributeDifference, compare
from tests.support.objects import data_set, write

UIDS = {"study": "1.2.1", "series": "1.2.2", "instance": "1.2.3"}


def item(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def file_of(folder: Path, **more: object) -> Path:
    return write(folder, data_set(**UIDS, **more)).path  # type: ignore[arg-type]


def changed_pixels(path: Path, *at: int) -> Path:
    read = pydicom.dcmread(path)
    pixels = bytearray(read.PixelData)
    for place in at:
        pixels[place] += 3
    read.PixelData = bytes(pixels)
    read.save_as(path)
    return path


def test_objects_that_are_the_same_do_not_differ(tmp_path: Path) -> None:
    compared = compare(file_of(tmp_path / "a"), file_of(tmp_path / "b"))
    assert (compared.differences, compared.same_pixels) == ([], True)


def test_attributes_that_differ_are_named_at_any_depth_and_so_are_those_that_one_lacks(tmp_path: Path) -> None:
    request = item(ScheduledProcedureStepID="1", CodeValue="A")
    other = item(ScheduledProcedureStepID="2", CodeValue="A")
    compared = compare(
        file_of(
            tmp_path / "a", name="Doe^Jane", RequestAttributesSequence=[request], ImageType=["ORIGINAL", "PRIMARY"]
        ),
        file_of(tmp_path / "b", name="Doe^John", RequestAttributesSequence=[other], ImageComments="late"),
    )
    assert compared.differences == [
        AttributeDifference("ImageType", "ORIGINAL\\PRIMARY", None),
        AttributeDifference("PatientName", "Doe^Jane", "Doe^John"),
        AttributeDifference("ImageComments", None, "late"),
        AttributeDifference("RequestAttributesSequence[1].ScheduledProcedureStepID", "1", "2"),
    ]


def test_more_items_and_private_values_are_said_without_their_content(tmp_path: Path) -> None:
    paths = [
        file_of(tmp_path / "a", RequestAttributesSequence=[item(CodeValue="A")]),
        file_of(tmp_path / "b", RequestAttributesSequence=[item(CodeValue="A"), item(CodeValue="B")]),
    ]
    for number, path in enumerate(paths):
        read = pydicom.dcmread(path)
        block = read.private_block(0x0009, "MAKER", create=True)
        block.add_new(0x01, "OB", bytes(number + 2) + bytes(number % 2))
        read.save_as(path)
    assert compare(*paths).differences == [
        AttributeDifference("(0009,1001)", "2 bytes", "4 bytes"),
        AttributeDifference("RequestAttributesSequence", "1 items", "2 items"),
    ]


def test_the_same_picture_in_another_transfer_syntax_has_the_same_pixels(tmp_path: Path) -> None:
    first, other = file_of(tmp_path / "a"), file_of(tmp_path / "b")
    read = pydicom.dcmread(other)
    read.compress(RLELossless, generate_instance_uid=False)
    read.save_as(other)
    compared = compare(first, other)
    assert compared.differences == [AttributeDifference("TransferSyntaxUID", "1.2.840.10008.1.2.1", str(RLELossless))]
    assert (compared.same_pixels, compared.pixels) == (True, "other bytes, the same samples")


def test_samples_that_differ_are_counted_with_the_largest_difference(tmp_path: Path) -> None:
    compared = compare(file_of(tmp_path / "a"), changed_pixels(file_of(tmp_path / "b"), 0, 64))
    assert (compared.differences, compared.same_pixels) == ([], False)
    assert compared.pixels == "2 samples in 1 of 1 frames differ, at most by 3"


def test_pictures_of_other_sizes_and_objects_without_a_picture_differ(tmp_path: Path) -> None:
    small, large = file_of(tmp_path / "a", size=8), file_of(tmp_path / "b", size=16)
    assert compare(small, large).pixels == "frame 1 is 8 x 8 in one, and 16 x 16 in the other"
    read = pydicom.dcmread(large)
    del read.PixelData
    read.save_as(large)
    assert compare(small, large).pixels == "one of them has no pixel data"
    assert compare(large, large).pixels == "no pixel data"


def test_pixels_that_cannot_be_decoded_are_not_said_to_be_the_same(tmp_path: Path) -> None:
    broken = changed_pixels(file_of(tmp_path / "b"), 0)
    read = pydicom.dcmread(broken)
    del read.Rows
    read.save_as(broken)
    compared = compare(file_of(tmp_path / "a"), broken)
    assert compared.same_pixels is None
    assert compared.pixels.startswith("other bytes; the pictures cannot be compared")


def test_what_is_no_dicom_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_bytes(b"\xff" * 40)
    with pytest.raises(ValueError, match="cannot be read"):
        compare(file_of(tmp_path / "a"), text)


def test_a_value_that_is_none_of_its_vr_is_said_in_words(tmp_path: Path) -> None:
    broken = file_of(tmp_path / "a")
    content = broken.read_bytes()
    # The length of Rows (0028,0010) US, 2 bytes, becomes 3.
    at = content.index(b"\x28\x00\x10\x00US")
    broken.write_bytes(content[: at + 6] + b"\x03\x00" + content[at + 8 : at + 10] + b"\x00" + content[at + 10 :])
    with pytest.raises(ValueError, match="cannot be read"):
        compare(file_of(tmp_path / "b"), broken)
