"""The tags that are named against pydicom's dictionary: a name is the keyword of its tag."""

from __future__ import annotations

from pydicom.datadict import tag_for_keyword

from gantry.common.dicom.standard import tags

NAMED = {name: value for name, value in vars(tags).items() if name.isupper()}
DELIMITERS = {"ITEM": 0xFFFEE000, "ITEM_DELIMITATION_ITEM": 0xFFFEE00D, "SEQUENCE_DELIMITATION_ITEM": 0xFFFEE0DD}
"""PS3.5 7.5. pydicom has them in no dictionary of data elements."""


def _keyword(name: str) -> str:
    words = (
        word if word in ("SOP", "UID", "ID", "AE", "URI", "URL", "URN", "UTC") else word.capitalize()
        for word in name.split("_")
    )
    return "".join(words)


def test_a_name_is_the_keyword_of_its_tag() -> None:
    names = sorted(NAMED.keys() - DELIMITERS.keys())
    assert len(names) > 150
    assert {name: NAMED[name] for name in names} == {name: tag_for_keyword(_keyword(name)) for name in names}


def test_items_and_delimiters_are_those_of_ps3_5() -> None:
    assert {name: NAMED[name] for name in DELIMITERS} == DELIMITERS


def test_no_tag_has_two_names() -> None:
    assert len(set(NAMED.values())) == len(NAMED)
