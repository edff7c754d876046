"""Elements level by level: what is written for one of them."""

from __future__ import annotations

import pytest

from gantry.common.deidentify.cleaning import CleaningSubject, DataSetCleaner
from gantry.common.deidentify.options import Option, profile_of
from gantry.common.deidentify.pseudonyms import Pseudonyms
from gantry.common.dicom.standard.transfer_syntaxes import Encoding
from gantry.common.errors import NotUnderstood
from tests.support.elements import ITEM, element, implicit, nested

PSEUDONYMS = Pseudonyms(b"k" * 32)


def left(data: bytes, *options: str) -> bytes:
    cleaner = DataSetCleaner(profile_of(options), PSEUDONYMS, CleaningSubject("SUBJECT", -1, frozenset(("hand",))))
    return b"".join(written for _, written in cleaner.elements(data, Encoding()))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (element(0x00280010, b"US", b"\x01\x02"), element(0x00280010, b"US", b"\x01\x02")),
        (element(0x00100010, b"PN", b"Doe^Jane"), element(0x00100010, b"PN", b"SUBJECT ")),
        (element(0x00100020, b"LO", b"4711"), element(0x00100020, b"LO", b"SUBJECT ")),
        (element(0x00100020, b"LO", b""), element(0x00100020, b"LO", b"")),
        (element(0x00080090, b"PN", b"Doe^Jane"), element(0x00080090, b"PN", b"")),
        (element(0x00081050, b"PN", b"Doe^Jane"), b""),
        (element(0x00080023, b"DA", b"20240229"), element(0x00080023, b"DA", b"19000101")),
        (element(0x00280000, b"UL", bytes(4)), b""),
        (element(0x00280FFF, b"LO", b"unknown "), b""),
        (element(0x60000010, b"US", bytes(2)), b""),
        (element(0x50000010, b"US", bytes(2)), b""),
        (element(0x52009229, b"LO", b"no items"), b""),
        (element(0x00120063, b"LO", b"somehow "), b""),
        # What stands where it does not belong.
        (element(0x00180015, b"PN", b"Doe^Jane"), element(0x00180015, b"CS", b"ANONYMIZED")),
        (element(0x00180015, b"CS", b"Doe^Jane"), element(0x00180015, b"CS", b"")),
        (element(0x00180015, b"CS", b"Doe Jane"), element(0x00180015, b"CS", b"")),
        (element(0x00180015, b"CS", b"CHEST "), element(0x00180015, b"CS", b"CHEST ")),
        (element(0x00180050, b"DS", b"Doe Jane"), element(0x00180050, b"DS", b"")),
        (element(0x00180050, b"DS", b"1,5e-3\\2 "), element(0x00180050, b"DS", b"1,5e-3\\2 ")),
        (element(0x00200013, b"IS", b"Jane"), element(0x00200013, b"IS", b"")),
        (element(0x00081150, b"UI", b"Doe^Jane"), element(0x00081150, b"UI", b"")),
        # What the table forgot: texts of people, addresses of archives, what an earlier de-identification encrypted.
        (element(0x0040A160, b"UT", b"Doe^Jane"), element(0x0040A160, b"UT", b"ANONYMIZED")),
        (element(0x00700081, b"LO", b"Doe^Jane"), element(0x00700081, b"LO", b"ANONYMIZED")),
        (element(0x00081190, b"UR", b"http://a"), element(0x00081190, b"UR", b"urn:anonymized")),
        (element(0x0008010E, b"UR", b"http://v"), element(0x0008010E, b"UR", b"http://v")),
        (element(0x04000500, b"SQ", b""), b""),
    ],
)
def test_one_element(before: bytes, after: bytes) -> None:
    assert left(before) == after


def test_a_text_of_people_is_cleaned_where_descriptions_are() -> None:
    described = element(0x00700081, b"LO", b"CHEST of hand Doe")
    assert left(described, Option.DESCRIPTORS) == element(0x00700081, b"LO", b"CHEST ")


def test_several_uids_become_several() -> None:
    written = left(element(0x00080058, b"UI", b"1.2\\1.3\0"))
    assert written[8:].strip(b"\0").decode() == f"{PSEUDONYMS.uid('1.2')}\\{PSEUDONYMS.uid('1.3')}"


def test_a_sequence_of_unknown_vr_is_looked_into() -> None:
    """PS3.5 6.2.2: its items are in implicit VR."""
    item = implicit(ITEM, implicit(0x00081155, b"1.2\0") + implicit(0x00081050, b"Doe "))
    written = left(element(0x52009229, b"UN", item))
    assert PSEUDONYMS.uid("1.2").encode() in written
    assert b"Doe" not in written
    assert written[4:6] == b"UN"


def test_a_private_element_needs_its_creator() -> None:
    creator, number = element(0x00250010, b"LO", b"GEMS_SERS_01"), element(0x00251007, b"SL", bytes(4))
    assert left(creator + number, Option.SAFE_PRIVATE) == creator + number
    assert left(number, Option.SAFE_PRIVATE) == b""
    assert left(creator, Option.SAFE_PRIVATE) == b""
    assert left(creator + number) == b""


def test_a_vr_that_was_left_out_is_written() -> None:
    assert left(implicit(0x00280010, b"\x01\x02"))[4:6] in (b"US", b"SS")


def test_what_nests_too_deep_is_refused() -> None:
    with pytest.raises(NotUnderstood):
        left(nested(1000))
