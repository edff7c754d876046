"""A data set in another encoding as steps over its bytes: carried out here, and read by pydicom."""

from __future__ import annotations

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gantry.common.dicom.encoding.rewriting import swapped
from gantry.common.dicom.scan.header import ScanLimits
from gantry.common.dicom.scan.layout import Layout, PixelData
from gantry.common.dicom.scan.scanner import Scanner
from gantry.common.errors import NotUnderstood
from gantry.services.retrieve.reading import pixels_end, stored_ranges
from gantry.services.retrieve.recoding import Recoding, Step, StoredPart, copying, decoding, parts_of, recoding
from tests.support.dicom import BIG_ENDIAN, EXPLICIT, IMPLICIT, bundled_file, data_sets, from_bytes, to_bytes
from tests.support.elements import Made, element, fragments

SMALL = ScanLimits(max_bulk_value=100)
JPEG = "1.2.840.10008.1.2.4.50"


def looked_at(data: bytes, syntax: str) -> tuple[Layout, list[StoredPart], bytes, StoredPart]:
    """Layout, the pieces of the header, the gap before the pixel data and the tail behind it."""
    scanner = Scanner(syntax, SMALL)
    scanner.feed(data)
    scan = scanner.finish()
    layout = Layout(scan.header_length, scan.bulk, scan.pixel_data)
    pieces = [data[begin:end] for begin, end in stored_ranges(layout)]
    gap = b"" if layout.pixel_data is None else data[layout.header_length : layout.pixel_data.offset]
    tail = data[pixels_end(layout) :]
    return layout, parts_of(pieces), gap, StoredPart(tail, len(tail))


def carried_out(made: Recoding, data: bytes, pixels: bytes = b"") -> bytes:
    out, at = b"", 0
    for step in made.steps:
        at += step.skip
        out += step.put + swapped(data[at : at + step.copy], step.width) + pixels[: step.pixels]
        at += step.copy
    assert len(out) == made.length
    return out


@settings(deadline=None)
@given(data_sets(), st.sampled_from([IMPLICIT, EXPLICIT, BIG_ENDIAN]))
def test_what_is_copied_is_the_same_but_for_its_header_and_tail(data_set: Dataset, stored: str) -> None:
    data = to_bytes(data_set, stored)
    layout, pieces, _, tail = looked_at(data, stored)
    nothing = StoredPart(b"", 0)
    assert carried_out(copying(layout, pieces, nothing, len(data)), data) == data
    assert carried_out(copying(layout, pieces, tail, len(data)), data) == data
    (first, *more), end = pieces, StoredPart(b"end", tail.stored)
    made = carried_out(copying(layout, [StoredPart(b"new" + first.data, first.stored), *more], end, len(data)), data)
    assert made == b"new" + data[: len(data) - tail.stored] + (b"end" if tail.stored else b"")


@settings(deadline=None)
@given(data_sets(), st.sampled_from([IMPLICIT, EXPLICIT, BIG_ENDIAN]), st.sampled_from([IMPLICIT, EXPLICIT]))
def test_pydicom_reads_the_same_from_what_comes_out(data_set: Dataset, stored: str, wanted: str) -> None:
    data = to_bytes(data_set, stored)
    layout, pieces, gap, tail = looked_at(data, stored)
    ds = from_bytes(carried_out(recoding(stored, wanted, layout, pieces, gap, tail), data), wanted)
    expected = from_bytes(to_bytes(from_bytes(data, stored), wanted), wanted)
    assert sorted(ds.keys()) == sorted(expected.keys())
    for tag in expected.keys():
        if stored != BIG_ENDIAN or tag != 0x7FE00010:  # pydicom does not reverse OW
            assert ds[tag].value == expected[tag].value


def test_pixels_of_a_big_endian_file_are_those_of_its_little_endian_twin() -> None:
    data = to_bytes(pydicom.dcmread(bundled_file("MR_small_bigendian.dcm")), BIG_ENDIAN)
    layout, pieces, gap, tail = looked_at(data, BIG_ENDIAN)
    ds = from_bytes(carried_out(recoding(BIG_ENDIAN, EXPLICIT, layout, pieces, gap, tail), data), EXPLICIT)
    assert ds.PixelData == pydicom.dcmread(bundled_file("MR_small.dcm")).PixelData


@pytest.mark.parametrize("length", [8, 9])
@pytest.mark.parametrize(("allocated", "vr"), [(8, "OB"), (16, "OW")])
def test_decoded_frames_take_the_place_of_compressed_ones(length: int, allocated: int, vr: str) -> None:
    """PS3.5 A.2, 8.1.1: the VR by the bits allocated; the value as a whole is padded."""
    more = {
        0x00280004: element(0x00280004, b"CS", b"YBR_FULL_422"),
        0x00280100: element(0x00280100, b"US", allocated.to_bytes(2, "little")),
        0x7FE00010: fragments(b"abcd", b"efgh"),
        0xFFFCFFFC: element(0xFFFCFFFC, b"OB", b"\0\0"),
    }
    data = Made(*more.items()).data
    layout, pieces, gap, tail = looked_at(data, JPEG)
    made = decoding(JPEG, EXPLICIT, layout, pieces, gap, tail, length, "RGB")
    ds = from_bytes(carried_out(made, data, b"123456789"[:length]), EXPLICIT)
    assert ds.PixelData == b"123456789"[:length] + b"\0" * (length % 2)
    assert ds["PixelData"].VR == vr
    assert ds.PhotometricInterpretation == "RGB"
    assert 0xFFFCFFFC in ds


def test_what_is_longer_than_an_element_can_be_is_refused() -> None:
    """PS3.5 7.1.1: four bytes, of which the largest number means that it is undefined."""
    data = Made((0x7FE00010, fragments(b"abcd"))).data
    layout, pieces, gap, tail = looked_at(data, JPEG)
    decoding(JPEG, EXPLICIT, layout, pieces, gap, tail, 0xFFFFFFFE, "RGB")
    with pytest.raises(NotUnderstood):
        decoding(JPEG, EXPLICIT, layout, pieces, gap, tail, 0xFFFFFFFF, "RGB")


def test_offset_tables_go_with_the_fragments() -> None:
    """PS3.3 C.7.6.3: they are of encapsulated pixel data only."""
    tables = b"\xe0\x7f\x01\x00OV\0\0\x08\0\0\0" + bytes(8)
    data = Made((0x7FE00001, tables), (0x7FE00010, fragments(b"abcd"))).data
    layout, pieces, gap, tail = looked_at(data, JPEG)
    out = carried_out(decoding(JPEG, EXPLICIT, layout, pieces, gap, tail, 4, "RGB"), data, b"1234")
    assert 0x7FE00001 not in from_bytes(out, EXPLICIT)


@pytest.mark.parametrize(
    ("last", "unseen"), [(Step(10), True), (Step(10, b"x"), False), (Step(0, b"", 5), False), (Step(4, pixels=8), True)]
)
def test_what_ends_with_bytes_that_are_passed_over_ends_unseen(last: Step, unseen: bool) -> None:
    assert Recoding([Step(0, b"head", 4), last]).ends_unseen is unseen


def test_pixels_of_a_layout_are_where_they_were_scanned() -> None:
    assert pixels_end(Layout(100, (), PixelData(0x7FE00010, "OB", 112, None, (0, 4)))) == 112 + 8 + 12 + 8
