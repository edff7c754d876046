"""Attributes, and what is wrong with them."""

from __future__ import annotations

import pytest

from gantry.common.hl7.collecting import CollectedAttributes
from gantry.common.hl7.fields import FoundText
from gantry.common.hl7.problems import ErrorCode, MessageRefused, Spot

SPOT = Spot("OBR", 1, 18)


def test_what_fits_is_a_value_and_what_does_not_a_problem_at_its_place() -> None:
    collected = CollectedAttributes()
    collected.text("AccessionNumber", FoundText("A1", SPOT))
    collected.text("StudyID", FoundText("", SPOT))
    collected.put("PatientBirthDate", SPOT, "31.01.1970")
    assert collected.values == {"00080050": {"vr": "SH", "Value": ["A1"]}}
    (problem,) = collected.problems
    assert (problem.code, problem.spot) == (ErrorCode.DATA_TYPE, SPOT)
    assert "31.01" not in problem.text
    with pytest.raises(MessageRefused, match="OBR-18: PatientBirthDate"):
        collected.require_sound()


def test_emptied_attributes_are_there_without_a_value() -> None:
    collected = CollectedAttributes()
    assert not collected.has("PatientSex")
    collected.empty("PatientSex")
    assert collected.has("PatientSex")
    assert collected.values == {"00100040": {"vr": "CS"}}
    collected.require_sound()


def test_items_without_anything_in_them_are_left_out() -> None:
    collected = CollectedAttributes()
    collected.items("RequestedProcedureCodeSequence", [{}], SPOT)
    assert collected.values == {}
    collected.items("RequestedProcedureCodeSequence", [{}, {"00080100": {"vr": "SH", "Value": ["1"]}}], SPOT)
    assert len(collected.values["00321064"]["Value"]) == 1


def test_two_may_share_their_problems() -> None:
    first = CollectedAttributes()
    second = CollectedAttributes(first.problems)
    second.missing(SPOT, "needed")
    assert [problem.code for problem in first.problems] == [ErrorCode.REQUIRED_FIELD_MISSING]
