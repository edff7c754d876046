"""The table as data: its rows, and the groups that repeat."""

from __future__ import annotations

from gantry.common.deidentify.options import Option
from gantry.common.deidentify.table import (
    CODES,
    CURVES,
    OVERLAY_COMMENTS,
    OVERLAY_DATA,
    PRIVATE_ATTRIBUTES,
    TABLE,
    row_of,
)
from gantry.common.dicom.standard.dictionary import entry_of, keyword_of_tag


def test_every_row_has_an_action_of_the_standard_and_options_that_keep_or_clean() -> None:
    for row in (*TABLE.values(), PRIVATE_ATTRIBUTES, CURVES, OVERLAY_DATA, OVERLAY_COMMENTS):
        assert row.basic in CODES
        assert set(row.options.values()) <= {"K", "C"}


def test_keywords_are_those_of_the_data_dictionary() -> None:
    named = {tag: row.keyword for tag, row in TABLE.items() if row.keyword != "-"}
    assert len(named) > 600
    assert all(keyword_of_tag(tag) == keyword for tag, keyword in named.items())
    assert all(entry_of(tag) is None for tag, row in TABLE.items() if row.keyword == "-")


def test_rows_that_everybody_knows_are_as_in_the_standard() -> None:
    assert TABLE[0x00100010].basic == "Z"
    assert TABLE[0x00080018].basic == "U"
    assert TABLE[0x00080018].options == {Option.UIDS: "K"}
    assert TABLE[0x00080022].options == {Option.FULL_DATES: "K", Option.MODIFIED_DATES: "C"}
    assert TABLE[0x00081030].options == {Option.DESCRIPTORS: "C"}
    assert TABLE[0x00080080].options == {Option.INSTITUTION: "K"}


def test_repeating_groups_and_private_attributes_have_their_rows() -> None:
    assert row_of(0x50020030) is CURVES
    assert row_of(0x60FE3000) is OVERLAY_DATA
    assert row_of(0x60004000) is OVERLAY_COMMENTS
    assert row_of(0x00091001) is PRIVATE_ATTRIBUTES
    assert row_of(0x00280010) is None


def test_every_option_but_that_of_pixels_has_a_row() -> None:
    rows = (*TABLE.values(), PRIVATE_ATTRIBUTES, CURVES)
    assert {option for row in rows for option in row.options} == set(Option)
