"""Value representations (PS3.5 6.2, 7.1.2) against pydicom's."""

from __future__ import annotations

import pytest
from pydicom.datadict import DicomDictionary, dictionary_VR
from pydicom.valuerep import AMBIGUOUS_VR, EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32, VR

from gantry.common.dicom.standard.vrs import BULK_VRS, LONG_VRS, SHORT_VRS, is_vr, vr_of


def test_lengths_are_of_two_or_four_bytes_as_pydicom_has_them() -> None:
    assert {vr.decode() for vr in SHORT_VRS} == {str(vr) for vr in EXPLICIT_VR_LENGTH_16}
    assert {vr.decode() for vr in LONG_VRS} == {str(vr) for vr in EXPLICIT_VR_LENGTH_32}


def test_every_vr_of_the_standard_is_either_short_or_long() -> None:
    assert not SHORT_VRS & LONG_VRS
    assert {vr.decode() for vr in SHORT_VRS | LONG_VRS} == {str(vr) for vr in VR if vr not in AMBIGUOUS_VR}


def test_bulk_is_binary_and_long() -> None:
    """PS3.5 6.2: Other Byte to Other Word, and Unknown."""
    assert BULK_VRS <= LONG_VRS
    assert BULK_VRS == {vr for vr in LONG_VRS if vr.startswith(b"O")} | {b"UN"}


def test_every_tag_of_the_dictionary_has_one_of_the_vrs_that_it_has_there() -> None:
    for tag in DicomDictionary:
        theirs = dictionary_VR(tag)
        if theirs == "NONE":
            continue
        assert vr_of(tag).decode() in theirs.split(" or "), f"{tag:08X}"
        assert vr_of(tag) in SHORT_VRS | LONG_VRS


def test_of_several_vrs_it_is_the_one_with_the_wider_values() -> None:
    assert vr_of(0x7FE00010) == b"OW"  # OB or OW
    assert vr_of(0x00281201) == b"OW"
    assert vr_of(0x00280106) == b"SS"  # US or SS: either is two bytes wide


@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        (0x00090010, b"LO"),  # a private creator (PS3.5 7.8.1)
        (0x000900FF, b"LO"),
        (0x00091001, b"UN"),
        (0x0009000F, b"UN"),
        (0x00090100, b"UN"),
        (0x00080FFF, b"UN"),  # of the standard's groups, but in no dictionary
        (0x60103000, b"OW"),  # an overlay of a repeating group (PS3.5 7.6)
        (0x60020010, b"US"),
    ],
)
def test_what_no_dictionary_has(tag: int, vr: bytes) -> None:
    assert vr_of(tag) == vr


def test_two_capital_letters_can_be_a_vr_and_nothing_else() -> None:
    """A VR that comes with a later edition is one too."""
    for first in range(256):
        for second in (0x40, 0x41, 0x5A, 0x5B, 0x61):
            pair = bytes((first, second))
            assert is_vr(pair) is (pair.isalpha() and pair.isupper() and pair.isascii())
