"""The attributes that can be asked for, against PS3.4 C.6 and pydicom's dictionary."""

from __future__ import annotations

import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from gantry.common.dicom.query.attributes import (
    ATTRIBUTES,
    STANDARD,
    TIME_OF_DATE,
    UNIQUE_KEYS,
    Attribute,
    AttributeTable,
    Level,
    keyword_of,
)

# PS3.4 tables C.6-1 to C.6-5: the required and unique keys of the Study Root and Patient Root models.
REQUIRED = {
    Level.PATIENT: ["PatientName", "PatientID"],
    Level.STUDY: ["StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyInstanceUID"],
    Level.SERIES: ["Modality", "SeriesNumber", "SeriesInstanceUID"],
    Level.IMAGE: ["InstanceNumber", "SOPInstanceUID"],
}
PRIVATE = Attribute(0x00091001, "Ours", "LO", Level.SERIES, creator="GANTRY TEST")


@pytest.mark.parametrize("level", Level)
def test_every_key_that_must_be_supported_is_there_at_its_level(level: Level) -> None:
    for keyword in REQUIRED[level]:
        tag = tag_for_keyword(keyword)
        assert tag is not None
        assert ATTRIBUTES[tag].level is level


def test_tags_keywords_and_vrs_are_those_of_the_dictionary() -> None:
    for tag, attribute in ATTRIBUTES.items():
        assert attribute.tag == tag
        assert attribute.keyword == keyword_for_tag(tag)
        assert attribute.vr in dictionary_VR(tag).split(" or ")


def test_levels_go_from_the_root_down() -> None:
    assert [level.depth for level in (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)] == [0, 1, 2, 3]


def test_what_is_computed_is_in_no_object() -> None:
    """PS3.4 C.3.4, C.6.2.1.2."""
    computed = {attribute.keyword for attribute in ATTRIBUTES.values() if attribute.computed}
    counts = {keyword for keyword in computed if keyword.startswith("NumberOf") and "Related" in keyword}
    assert computed - counts == {"ModalitiesInStudy", "SOPClassesInStudy"}
    assert len(counts) == 6
    assert not computed & {ATTRIBUTES[tag].keyword for tag in STANDARD.stored}


def test_a_unique_key_is_an_attribute_of_its_level() -> None:
    """PS3.4 C.6.1.1."""
    for level, tag in UNIQUE_KEYS.items():
        assert ATTRIBUTES[tag].level is level
    assert set(UNIQUE_KEYS) == set(Level)


def test_a_date_and_its_time_are_of_one_name_and_one_level() -> None:
    """Combined date-time matching (PS3.4 C.2.2.2.5)."""
    for day, time in TIME_OF_DATE.items():
        assert dictionary_VR(day) == "DA"
        assert dictionary_VR(time) == "TM"
        assert keyword_for_tag(day).removesuffix("Date") == keyword_for_tag(time).removesuffix("Time")
        if day in ATTRIBUTES:
            assert ATTRIBUTES[day].level is ATTRIBUTES[time].level


def test_every_date_that_can_be_asked_for_has_its_time_where_there_is_one() -> None:
    days = [a for a in ATTRIBUTES.values() if a.vr == "DA"]
    for attribute in days:
        time = tag_for_keyword(attribute.keyword.removesuffix("Date") + "Time")
        if time in ATTRIBUTES:
            assert TIME_OF_DATE[attribute.tag] == time


def test_what_the_settings_add_is_there_besides() -> None:
    table = AttributeTable([PRIVATE])
    assert table.by_tag.keys() - ATTRIBUTES.keys() == {PRIVATE.tag}
    assert PRIVATE in table.of(Level.SERIES)
    assert table.level_of(PRIVATE.tag) is Level.SERIES
    assert table.vr_of(PRIVATE.tag) == b"LO"
    assert STANDARD.vr_of(PRIVATE.tag) == b"UN"
    assert PRIVATE.tag in table.stored_of[Level.SERIES]
    assert PRIVATE.tag not in STANDARD.stored


def test_a_private_attribute_is_found_by_its_creator_in_any_block() -> None:
    """PS3.5 7.8.1: the block is the object's own business, the last two digits are not."""
    assert AttributeTable([PRIVATE]).private == {(0x0009, "GANTRY TEST", 0x01): (PRIVATE.tag, b"LO")}
    assert PRIVATE.creator_tag == 0x00090010


def test_the_order_of_what_is_added_does_not_count() -> None:
    other = Attribute(0x00080068, "PresentationIntentType", "CS", Level.SERIES)
    assert AttributeTable([PRIVATE, other]).added == AttributeTable([other, PRIVATE]).added


def test_what_is_in_no_document_is_tested_as_soon_as_possible() -> None:
    assert STANDARD.level_of(0x00091001) is Level.PATIENT


def test_every_attribute_is_stored_at_one_level_or_computed() -> None:
    stored = [tag for level in Level for tag in STANDARD.stored_of[level]]
    assert len(stored) == len(set(stored)) == len(STANDARD.stored)
    assert STANDARD.stored | {a.tag for a in ATTRIBUTES.values() if a.computed} == set(ATTRIBUTES)


def test_a_tag_without_a_keyword_is_named_by_its_number() -> None:
    assert keyword_of(0x00100010) == "PatientName"
    assert keyword_of(0x0009100A) == "0009100A"
