"""How an element begins (PS3.5 7.1), in each encoding, byte by byte."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.encoding.syntax import (
    EXPLICIT,
    EXPLICIT_BIG,
    IMPLICIT,
    UNDEFINED,
    Syntax,
    read_element,
    syntax_of,
)
from gantry.common.dicom.standard.transfer_syntaxes import TRANSFER_SYNTAXES, Encoding
from gantry.common.dicom.standard.vrs import LONG_VRS, SHORT_VRS

TAGS = st.integers(0, 0xFFFFFFFF).filter(lambda tag: tag >> 16 != 0xFFFE)


def read(data: bytes, syntax: Syntax) -> tuple[int, bytes, int, int] | None:
    return read_element(data, 0, len(data), syntax)


def test_each_encoding_has_its_syntax() -> None:
    assert syntax_of(Encoding(explicit=False)) is IMPLICIT
    assert syntax_of(Encoding(big_endian=True)) is EXPLICIT_BIG
    assert {syntax_of(row.encoding) for row in TRANSFER_SYNTAXES.values()} == {IMPLICIT, EXPLICIT, EXPLICIT_BIG}
    assert syntax_of(Encoding(encapsulated=True)) is syntax_of(Encoding(deflated=True)) is EXPLICIT


@pytest.mark.parametrize(("syntax", "order"), [(EXPLICIT, "<"), (EXPLICIT_BIG, ">")], ids=["little", "big"])
@given(tag=TAGS, vr=st.sampled_from(sorted(SHORT_VRS)), length=st.integers(0, 0xFFFF))
def test_a_short_vr_has_a_length_of_two_bytes(syntax: Syntax, order: str, tag: int, vr: bytes, length: int) -> None:
    head = struct.pack(order + "HH2sH", tag >> 16, tag & 0xFFFF, vr, length)
    assert read(head, syntax) == (tag, vr, length, 8)


@pytest.mark.parametrize(("syntax", "order"), [(EXPLICIT, "<"), (EXPLICIT_BIG, ">")], ids=["little", "big"])
@given(tag=TAGS, vr=st.sampled_from(sorted(LONG_VRS)), length=st.integers(0, UNDEFINED))
def test_a_long_vr_has_a_length_of_four_bytes(syntax: Syntax, order: str, tag: int, vr: bytes, length: int) -> None:
    head = struct.pack(order + "HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, length)
    assert read(head, syntax) == (tag, vr, length, 12)
    for cut in range(12):
        assert read(head[:cut], syntax) is None


def test_without_a_vr_the_dictionary_has_it() -> None:
    """PS3.5 7.1.3."""
    assert read(struct.pack("<HHI", 0x0010, 0x0010, 9), IMPLICIT) == (0x00100010, b"PN", 9, 8)
    assert read(struct.pack("<HHI", 0x0009, 0x1001, 70_000), IMPLICIT) == (0x00091001, b"UN", 70_000, 8)


def test_an_element_in_implicit_vr_is_read_in_an_explicit_syntax_too() -> None:
    """Some senders do that."""
    assert read(struct.pack("<HHI", 0x0010, 0x0010, 9), EXPLICIT) == (0x00100010, b"PN", 9, 8)


@pytest.mark.parametrize(
    ("syntax", "order"), [(IMPLICIT, "<"), (EXPLICIT, "<"), (EXPLICIT_BIG, ">")], ids=["implicit", "little", "big"]
)
def test_an_item_has_no_vr_in_any_encoding(syntax: Syntax, order: str) -> None:
    """PS3.5 7.5."""
    head = struct.pack(order + "HHI", 0xFFFE, 0xE000, UNDEFINED)
    assert read(head, syntax) == (0xFFFEE000, b"", UNDEFINED, 8)
    assert head[:4] == syntax.item


def test_a_vr_that_nobody_knows_has_the_long_form_unless_what_is_reserved_is_not_zero() -> None:
    """PS3.5 7.1.2."""
    assert read(struct.pack("<HH2sHI", 0x0011, 0x1001, b"ZZ", 0, 70_000), EXPLICIT) == (0x00111001, b"ZZ", 70_000, 12)
    assert read(struct.pack("<HH2sHI", 0x0011, 0x1001, b"ZZ", 4, 0), EXPLICIT) == (0x00111001, b"ZZ", 4, 8)


@given(TAGS)
def test_a_tag_as_a_number_is_what_the_fast_reader_reads(tag: int) -> None:
    for syntax, order in ((EXPLICIT, "<"), (EXPLICIT_BIG, ">")):
        head = struct.pack(order + "HH2sH", tag >> 16, tag & 0xFFFF, b"UI", 7)
        number, vr, length = syntax.short(head, 0)
        assert (number, vr, length) == (syntax.number(tag), syntax.ui, 7)
        assert syntax.short_vrs[vr] == b"UI"
        assert vr not in syntax.plain_vrs
