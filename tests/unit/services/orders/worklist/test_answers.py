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


def answer(identifier: Identifier) -> Identifier:
    answers = WorklistAnswers(identifier, worklist_conditions(identifier), IMPLICIT_LITTLE_ENDIAN)
    return decode_identifier(answers.encode(STEP), IMPLICIT_LITTLE_ENDIAN)


def test_the_keys_that_were_asked_for_are_returned_and_no_others() -> None:
    reply = answer(with_step_keys({TAGS["PatientName"]: [], TAGS["PatientSex"]: []}, {TAGS["Modality"]: ["CT"]}))
    assert reply.keys == {TAGS["PatientName"]: ["Doe^Jane"], TAGS["PatientSex"]: [], STEPS: []}
    assert reply.items[STEPS].keys == {TAGS["Modality"]: ["CT"]}


def test_the_status_of_a_step_is_the_computed_one() -> None:
    reply = answer(with_step_keys({}, {TAGS["ScheduledProcedureStepStatus"]: []}))
    assert reply.items[STEPS].keys == {TAGS["ScheduledProcedureStepStatus"]: ["ARRIVED"]}


def test_a_sequence_without_keys_is_returned_whole() -> None:
    reply = answer(Identifier({STEPS: []}))
    assert TAGS["ScheduledStationAETitle"] in reply.items[STEPS].keys


def test_what_nobody_knows_makes_the_answer_incomplete() -> None:
    identifier = Identifier({0x00091001: [], TAGS["PatientID"]: []})
    assert not WorklistAnswers(identifier, {}, IMPLICIT_LITTLE_ENDIAN).complete
    assert answer(identifier).keys == {TAGS["PatientID"]: ["P1"]}
