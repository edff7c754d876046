"""Scheduled steps as response identifiers."""

from __future__ import annotations

from gantry.common.dicom.query.identifiers import Identifier, decode_identifier
from gantry.common.dicom.query.worklists import with_step_keys, worklist_conditions
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.transfer_syntaxes import IMPLICIT_LITTLE_ENDIAN
from gantry.common.orders import StepState
from gantry.common.orders.questions import ListedStep
from gantry.services.orders.worklist.answers import WorklistAnswers
from tests.support.orders import attributes, step

STEPS = TAGS["ScheduledProcedureStepSequence"]
STEP = ListedStep("A1", attributes(PatientName="Doe^Jane", PatientID="P1"), step(), StepState.ARRIVED)


def answer(asked: Identifier) -> Identifier:
    answers = WorklistAnswers(asked, worklist_conditions(asked), IMPLICIT_LITTLE_ENDIAN)
    return decode_identifier(answers.encode(STEP), IMPLICIT_LITTLE_ENDIAN)


def test_the_keys_that_were_asked_for_are_returned_and_no_others() -> None:
    found = answer(with_step_keys({TAGS["PatientName"]: [], TAGS["PatientSex"]: []}, {TAGS["Modality"]: ["CT"]}))
    assert found.keys == {TAGS["PatientName"]: ["Doe^Jane"], TAGS["PatientSex"]: [], STEPS: []}
    assert found.items[STEPS].keys == {TAGS["Modality"]: ["CT"]}


def test_the_status_of_a_step_is_the_computed_one() -> None:
    found = answer(with_step_keys({}, {TAGS["ScheduledProcedureStepStatus"]: []}))
    assert found.items[STEPS].keys == {TAGS["ScheduledProcedureStepStatus"]: ["ARRIVED"]}


def test_a_sequence_without_keys_is_returned_whole() -> None:
    found = answer(Identifier({STEPS: []}))
    assert TAGS["ScheduledStationAETitle"] in found.items[STEPS].keys


def test_what_nobody_knows_makes_the_answer_incomplete() -> None:
    asked = Identifier({0x00091001: [], TAGS["PatientID"]: []})
    assert not WorklistAnswers(asked, {}, IMPLICIT_LITTLE_ENDIAN).complete
    assert answer(asked).keys == {TAGS["PatientID"]: ["P1"]}
