"""What a study says of the order that it is linked to."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import NotUnderstood
from gantry.common.orders import Order, fold_order
from gantry.common.orders.linked_values import patient_of, steps_of_object, study_values
from tests.support.orders import cancelled, order, placed, step


def standing(*steps: dict[int, list[Any]], **values: Any) -> Order:
    made = fold_order(None, placed(order(*steps, **values))).state
    assert made is not None
    return made


def test_patient_and_request_are_copied_and_the_uid_of_the_study_is_not() -> None:
    values = study_values(standing(ReferringPhysicianName="Cuddy^Lisa"))
    assert values[TAGS["PatientID"]] == ["P1"]
    assert values[TAGS["AccessionNumber"]] == ["A1"]
    assert values[TAGS["ReferringPhysicianName"]] == [{"Alphabetic": "Cuddy^Lisa"}]
    assert TAGS["StudyInstanceUID"] not in values


def test_the_procedure_that_was_asked_for_is_the_one_that_was_performed() -> None:
    code = {TAGS["CodeValue"]: ["CT1"]}
    assert study_values(standing(RequestedProcedureCodeSequence=[code]))[TAGS["ProcedureCodeSequence"]] == [code]


def test_each_step_that_was_not_cancelled_is_an_item_of_request_attributes() -> None:
    two = fold_order(standing(step("S1"), step("S2")), cancelled("S2")).state
    assert two is not None
    (item,) = study_values(two)[TAGS["RequestAttributesSequence"]]
    assert item[TAGS["ScheduledProcedureStepID"]] == ["S1"]
    assert item[TAGS["RequestedProcedureID"]] == ["R1"]
    assert item[TAGS["StudyInstanceUID"]] == ["1.2.3"]


def test_an_order_has_to_name_a_patient() -> None:
    assert patient_of(standing(IssuerOfPatientID="HOSPITAL")) == ("P1", "HOSPITAL")
    with pytest.raises(NotUnderstood, match="the order names no patient"):
        patient_of(standing(PatientID=None))


def test_requests_may_be_those_of_the_steps_that_are_meant() -> None:
    order = standing(step("S1"), step("S2", Modality="MR"), step("S3"))
    assert steps_of_object(order, ["S2", "S9"], "CT") == ["S2"]
    assert steps_of_object(order, ["S9"], "CT") == ["S1", "S3"]
    assert steps_of_object(order, [], "US") == ["S1", "S2", "S3"]
    (item,) = study_values(order, ["S2"])[TAGS["RequestAttributesSequence"]]
    assert item[TAGS["ScheduledProcedureStepID"]] == ["S2"]
