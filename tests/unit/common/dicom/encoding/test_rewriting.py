"""Elements in another encoding: pydicom reads the same from what was written as from what was read."""

from __future__ import annotations

import struct

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gantry.common.dicom.encoding.rewriting import Rewriter, VrContext, explicit_vr, swapped
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.errors import NotUnderstood
from tests.support.dicom import BIG_ENDIAN, EXPLICIT, IMPLICIT, bundled_file, data_sets, from_bytes, to_bytes
from tests.support.elements import UNDEFINED, element, implicit, nested


def rewritten(data: bytes, source: str, explicit: bool = True, **more: object) -> bytes:
    return Rewriter(encoding_of(source), explicit, **more).elements(data)  # type: ignore[arg-type]


@settings(deadline=None)
@given(data_sets(), st.sampled_from([IMPLICIT, EXPLICIT, BIG_ENDIAN]), st.booleans(), st.booleans())
def test_pydicom_reads_the_same_in_the_other_encoding(
    data_set: Dataset, source: str, explicit: bool, explicit_lengths: bool
) -> None:
    data = to_bytes(data_set, source, explicit_lengths)
    target = EXPLICIT if explicit else IMPLICIT
    expected = from_bytes(to_bytes(from_bytes(data, source), target), target)
    found = from_bytes(rewritten(data, source, explicit), target)
    assert sorted(found.keys()) == sorted(expected.keys())
    for tag in expected.keys():
        if source == BIG_ENDIAN and tag == 0x7FE00010:
            continue  # pydicom does not reverse OW
        assert found[tag].value == expected[tag].value


def test_there_and_back_again_gives_the_same_bytes() -> None:
    """Of a data set with lengths as the rewriter writes them: items of undefined length."""
    inner = Dataset()
    inner.CodeValue, inner.Rows = "T1", 7
    data_set = Dataset()
    data_set.PatientName, data_set.ConceptNameCodeSequence, data_set.Rows = "Doe^Jane", Sequence([inner]), 2
    implicit_bytes = rewritten(to_bytes(data_set, IMPLICIT, False), IMPLICIT, False)
    explicit_bytes = rewritten(implicit_bytes, IMPLICIT)
    assert explicit_bytes == to_bytes(data_set, EXPLICIT, False)
    assert rewritten(explicit_bytes, EXPLICIT, False) == implicit_bytes


@given(st.binary(max_size=100), st.sampled_from([1, 2, 3, 4, 8, 12]))
def test_swapping_twice_changes_nothing_and_once_reverses_each_number(value: bytes, width: int) -> None:
    turned = swapped(value, width)
    whole = len(value) - len(value) % width
    assert turned[:whole] == b"".join(value[i : i + width][::-1] for i in range(0, whole, width))
    assert turned[whole:] == value[whole:]
    assert swapped(turned, width) == value


@pytest.mark.parametrize(
    ("vr", "form", "value"),
    [
        (b"US", "H", 0x0102),
        (b"SS", "h", -2),
        (b"UL", "I", 0x01020304),
        (b"SL", "i", -3),
        (b"FL", "f", 1.5),
        (b"FD", "d", 1.5),
        (b"UV", "Q", 0x0102030405060708),
        (b"SV", "q", -5),
        (b"OW", "H", 0x0102),
        (b"OL", "I", 0x01020304),
        (b"OV", "Q", 0x0102030405060708),
        (b"OF", "f", 2.5),
        (b"OD", "d", 2.5),
    ],
)
def test_numbers_of_big_endian_are_reversed(vr: bytes, form: str, value: float) -> None:
    """PS3.5 7.3."""
    is_long = vr.startswith(b"O") or vr.endswith(b"V")
    body = struct.pack(">" + form, value)
    head = struct.pack(">HH", 0x0009, 0x1001) + vr
    head += struct.pack(">HI", 0, len(body)) if is_long else struct.pack(">H", len(body))
    out = rewritten(head + body, BIG_ENDIAN)
    assert struct.unpack("<" + form, out[12 if is_long else 8 :])[0] == value


def test_a_tag_of_big_endian_is_reversed_as_two_numbers() -> None:
    head = struct.pack(">HH2sH", 0x0009, 0x1001, b"AT", 4) + struct.pack(">HH", 0x0010, 0x0020)
    assert rewritten(head, BIG_ENDIAN)[8:] == struct.pack("<HH", 0x0010, 0x0020)


def test_pixels_of_a_big_endian_file_are_those_of_its_little_endian_twin() -> None:
    big = pydicom.dcmread(bundled_file("MR_small_bigendian.dcm"))
    little = pydicom.dcmread(bundled_file("MR_small.dcm"))
    out = from_bytes(rewritten(to_bytes(big, BIG_ENDIAN), BIG_ENDIAN), EXPLICIT)
    assert out.PixelData == little.PixelData
    assert out.PixelRepresentation == little.PixelRepresentation


def test_group_lengths_and_what_is_to_be_dropped_are_left_out() -> None:
    """PS3.5 7.2: they are retired, and would not be true any more."""
    name, number = element(0x00100010, b"PN", b"Doe^Jane"), element(0x00100020, b"LO", b"P1")
    data = element(0x00100000, b"UL", b"\x20\0\0\0") + name + number
    assert rewritten(data, EXPLICIT) == name + number
    assert rewritten(data, EXPLICIT, drop=(0x00100020,)) == name


def test_a_value_can_be_replaced_and_can_be_elsewhere() -> None:
    name, pixels = element(0x00100010, b"PN", b"Doe^Jane"), element(0x7FE00010, b"OW", b"", 1000)
    out = Rewriter(encoding_of(EXPLICIT), True).elements(name + pixels, {0x00100010: b"X^Y "})
    assert out == element(0x00100010, b"PN", b"X^Y ") + pixels


@pytest.mark.parametrize(
    ("context", "tag", "vr"),
    [
        (VrContext(signed=True), 0x00280106, b"SS"),
        (VrContext(signed=False), 0x00280106, b"US"),
        (VrContext(allocated=8), 0x7FE00010, b"OB"),
        (VrContext(allocated=16), 0x7FE00010, b"OW"),
        (VrContext(waveform=8), 0x54001010, b"OB"),
        (VrContext(waveform=16), 0x54001010, b"OW"),
        (VrContext(), 0x00281201, b"OW"),
        (VrContext(), 0x00100010, b"PN"),
    ],
)
def test_an_ambiguous_vr_is_told_by_the_pixels_and_waveforms(context: VrContext, tag: int, vr: bytes) -> None:
    """PS3.5 A.1, Annex A.2."""
    assert explicit_vr(tag, b"UN" if tag == 0 else vr, context) == vr


def test_the_pixel_representation_is_that_of_the_data_set_that_is_read() -> None:
    us, signed = struct.pack("<H", 1), implicit(0x00280103, struct.pack("<H", 1))
    smallest = implicit(0x00280106, us)
    assert rewritten(smallest, IMPLICIT)[4:6] == b"US"
    assert rewritten(signed + smallest, IMPLICIT)[14:16] == b"SS"


def test_what_is_too_long_for_a_short_vr_becomes_un() -> None:
    """PS3.5 6.2.2 note 3."""
    for length, vr in ((0xFFFE, b"LO"), (0x10000, b"UN")):
        out = rewritten(implicit(0x00100020, b"x" * length), IMPLICIT)
        assert out[4:6] == vr
        assert from_bytes(out, EXPLICIT).get_item(0x00100020).length == length


def test_the_items_of_an_un_of_undefined_length_stay_implicit() -> None:
    """PS3.5 6.2.2."""
    item = implicit(0xFFFEE000, implicit(0x00091001, b"ab")) + implicit(0xFFFEE0DD, b"")
    data = element(0x00091010, b"UN", item, UNDEFINED)
    assert rewritten(data, EXPLICIT) == data


@settings(deadline=None)
@given(st.binary(max_size=80), st.sampled_from([IMPLICIT, EXPLICIT, BIG_ENDIAN]), st.booleans())
def test_no_bytes_raise_anything_but_not_understood(data: bytes, source: str, explicit: bool) -> None:
    try:
        rewritten(data, source, explicit)
    except NotUnderstood:
        pass


def test_what_is_nested_too_deep_is_refused_and_what_an_object_may_have_is_not() -> None:
    assert rewritten(nested(64), EXPLICIT) == nested(64)
    with pytest.raises(NotUnderstood):
        rewritten(nested(140), EXPLICIT)
