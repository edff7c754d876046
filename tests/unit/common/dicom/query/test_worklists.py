"""Worklist requests as conditions (PS3.4 K.6.1.2)."""

from __future__ import annotations

import pytest

from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.query.matching import Item, Range, Single, Wildcard
from gantry.common.dicom.query.worklists import all_known, is_known, with_step_keys, worklist_conditions
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.tags import (
    SCHEDULED_PROCEDURE_STEP_SEQUENCE,
    SCHEDULED_PROCEDURE_STEP_START_DATE,
    SCHEDULED_PROCEDURE_STEP_START_TIME,
    SPECIFIC_CHARACTER_SET,
)
from gantry.common.errors import IdentifierError

DATE, TIME = SCHEDULED_PROCEDURE_STEP_START_DATE, SCHEDULED_PROCEDURE_STEP_START_TIME
MODALITY, NAME = TAGS["Modality"], TAGS["PatientName"]


def test_keys_of_the_step_hold_for_one_and_the_same_item() -> None:
    conditions = worklist_conditions(with_step_keys({NAME: ["Doe*"]}, {MODALITY: ["CT"]}))
    assert conditions == {
        NAME: Wildcard(("Doe*",)),
        SCHEDULED_PROCEDURE_STEP_SEQUENCE: Item({MODALITY: Single(("CT",))}),
    }


def test_keys_without_a_value_match_everything() -> None:
    assert worklist_conditions(with_step_keys({NAME: [], TAGS["PatientID"]: ["*"]}, {MODALITY: [], DATE: []})) == {}
    assert worklist_conditions(Identifier({SPECIFIC_CHARACTER_SET: ["ISO_IR 100"]})) == {}


@pytest.mark.parametrize("times", ["0000-2359", "000000-235959", "000000.000000-235959.999999", "00:00-23:59", "00-"])
def test_a_range_that_is_a_whole_day_asks_for_no_time(times: str) -> None:
    """A step with a date and no time belongs to its day, too."""
    conditions = worklist_conditions(with_step_keys({}, {DATE: ["20260105"], TIME: [times]}))
    assert conditions == {SCHEDULED_PROCEDURE_STEP_SEQUENCE: Item({DATE: Single(("20260105",))})}
    assert worklist_conditions(with_step_keys({}, {TIME: [times]})) == {}


@pytest.mark.parametrize("times", ["0001-2359", "0000-2358", "-1200"])
def test_a_shorter_range_asks_for_a_time(times: str) -> None:
    (item,) = worklist_conditions(with_step_keys({}, {TIME: [times]})).values()
    assert isinstance(item, Item)
    assert set(item.conditions) == {TIME}


def test_a_level_says_nothing_of_a_worklist() -> None:
    assert worklist_conditions(Identifier({TAGS["QueryRetrieveLevel"]: ["STUDY"]})) == {}


def test_a_number_that_is_zero_is_asked_for_and_not_matched() -> None:
    """dcmjs-dimse sends Pregnancy Status 0 in each of its worklist requests."""
    pregnancy, weight = TAGS["PregnancyStatus"], TAGS["PatientWeight"]
    assert worklist_conditions(Identifier({pregnancy: ["0"]})) == {}
    assert worklist_conditions(Identifier({pregnancy: ["1"]})) == {pregnancy: Single(("1",))}
    assert worklist_conditions(Identifier({weight: ["0"]})) == {weight: Single(("0",))}


def test_a_range_of_dates_and_a_range_of_times_are_one_range_of_moments() -> None:
    conditions = worklist_conditions(with_step_keys({}, {DATE: ["20260105-20260107"], TIME: ["1000-1800"]}))
    moments = Range("20260105", "20260107", TIME, "1000", "1800")
    assert conditions == {SCHEDULED_PROCEDURE_STEP_SEQUENCE: Item({DATE: moments})}


def test_one_day_and_a_range_of_times_are_two_conditions() -> None:
    conditions = worklist_conditions(with_step_keys({}, {DATE: ["20260105"], TIME: ["1000-1800"]}))
    (item,) = conditions.values()
    assert item == Item({DATE: Single(("20260105",)), TIME: Range("1000", "1800")})


@pytest.mark.parametrize("value", ["yesterday", "20261301", "20260101-never"])
def test_what_is_no_date_is_refused(value: str) -> None:
    with pytest.raises(IdentifierError):
        worklist_conditions(with_step_keys({}, {DATE: [value]}))


def test_keys_that_the_dictionary_does_not_know_are_told() -> None:
    assert is_known(NAME)
    assert all_known(with_step_keys({NAME: []}, {MODALITY: []}))
    assert not all_known(with_step_keys({NAME: []}, {0x00091001: []}))
    assert not all_known(Identifier({0x00091001: ["x"]}))
    assert worklist_conditions(Identifier({0x00091001: ["x"]})) == {}
