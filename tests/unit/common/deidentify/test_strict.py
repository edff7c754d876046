"""Texts in items that are kept after cleaning."""

from __future__ import annotations

import pytest

from gantry.common.deidentify.strict import has_standard_code, strict_value, without_odd
from gantry.common.dicom.encoding.charsets import DEFAULT
from gantry.common.dicom.standard.transfer_syntaxes import Encoding
from tests.support.elements import element


def code(scheme: bytes) -> bytes:
    return element(0x00080100, b"SH", b"1234") + element(0x00080102, b"SH", scheme)


def test_a_code_is_one_of_a_published_vocabulary() -> None:
    assert has_standard_code(code(b"SCT "), Encoding())
    assert not has_standard_code(code(b"99BRENNER "), Encoding())
    assert not has_standard_code(code(b"SCT ")[12:], Encoding())


@pytest.mark.parametrize(
    ("vr", "value", "left"),
    [
        (b"LO", b"left lung, Brenner", "left lung"),
        (b"LO", b"Brenner", "ANONYMIZED"),
        (b"LO", b"", None),
        (b"DS", b"1.5\\2", None),
        (b"DS", b"Brenner ", "0"),
        (b"UR", b"http://brenner", "urn:anonymized"),
        (b"CS", b"TEXT", None),
        (b"FL", bytes(4), None),
    ],
)
def test_a_value_is_cleaned_by_its_vr(vr: bytes, value: bytes, left: str | None) -> None:
    assert strict_value(vr, value, DEFAULT, frozenset()) == left


@pytest.mark.parametrize(
    ("vr", "value", "left"),
    [
        (b"CS", b"ORIGINAL\\PRIMARY\\M_FFE ", b"ORIGINAL\\PRIMARY\\M_FFE "),
        (b"CS", b"DERIVED\\Doe Jane\\AXIAL", b"DERIVED\\\\AXIAL"),
        (b"CS", b"Doe\\Jane", b""),
        (b"CS", b"DOE-JANE", b""),
        (b"CS", b"ABCDEFGHIJKLMNOP", b"ABCDEFGHIJKLMNOP"),
        (b"CS", b"ABCDEFGHIJKLMNOPQ", b""),
        (b"CS", b"CT\0", b"CT\0"),
        (b"CS", b"\\", b"\\"),
        (b"DS", b"1,5", b"1,5"),
        (b"IS", b"Brenner", b""),
        (b"LO", b"Brenner", b"Brenner"),
    ],
)
def test_what_is_not_what_its_vr_says_is_emptied(vr: bytes, value: bytes, left: bytes) -> None:
    """PS3.5 6.2. A code word that is none leaves its place to the others."""
    assert without_odd(vr, value) == left
