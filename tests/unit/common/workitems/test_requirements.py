"""`gantry.common.workitems.requirements`: what a workitem needs, and when."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.workitems import WorkitemState
from gantry.common.workitems.requirements import (
    problem_of_creation,
    problem_of_final_state,
    problem_of_setting,
    without,
)
from tests.support.orders import attributes
from tests.support.workitems import done, why, workitem


def test_a_workitem_with_what_is_of_type_1_is_taken() -> None:
    assert problem_of_creation(workitem(PatientID=None, PatientName=None)) is None


@pytest.mark.parametrize(
    ("keyword", "value", "status"),
    [
        ("ProcedureStepLabel", None, 0x0120),
        ("ProcedureStepLabel", [], 0x0121),
        ("ScheduledProcedureStepPriority", [""], 0x0121),
        ("ScheduledProcedureStepPriority", "URGENT", 0x0106),
        ("ScheduledProcedureStepStartDateTime", None, 0x0120),
        ("InputReadinessState", "SOON", 0x0106),
        ("ProcedureStepState", None, 0x0120),
        ("ProcedureStepState", "IN PROGRESS", 0xC309),
        ("TransactionUID", "1.2.3", 0x0106),
    ],
)
def test_what_is_missing_or_wrong_is_named(keyword: str, value: Any, status: int) -> None:
    problem = problem_of_creation(workitem(**{keyword: value}))
    assert problem is not None
    assert problem.status == status
    assert len(problem.words) <= 64
    if status != 0xC309:
        assert keyword in problem.words


def test_nobody_has_performed_what_is_created() -> None:
    for more in (done(), why()):
        problem = problem_of_creation({**workitem(), **more})
        assert problem is not None
        assert problem.status == 0x0106


@pytest.mark.parametrize(
    ("keyword", "value", "status"),
    [
        ("PatientID", "P2", 0x0106),
        ("ProcedureStepState", "COMPLETED", 0x0106),
        ("SOPInstanceUID", "1.2", 0x0106),
        ("ProcedureStepLabel", [], 0x0121),
        ("WorklistLabel", [], 0x0121),
        ("InputReadinessState", "SOON", 0x0106),
    ],
)
def test_what_may_not_be_set_is_named(keyword: str, value: Any, status: int) -> None:
    problem = problem_of_setting(attributes(**{keyword: value}))
    assert problem is not None
    assert (problem.status, keyword in problem.words) == (status, True)


def test_everything_else_may_be_set() -> None:
    assert problem_of_setting({**done(), **why(), **attributes(ProcedureStepLabel="New", PatientAge=[])}) is None


@pytest.mark.parametrize("missing", ["PerformedStationNameCodeSequence", "PerformedProcedureStepEndDateTime"])
def test_what_completing_needs(missing: str) -> None:
    assert problem_of_final_state(done(), WorkitemState.COMPLETED) is None
    problem = problem_of_final_state(done(**{missing: []}), WorkitemState.COMPLETED)
    assert problem is not None
    assert (problem.status, missing in problem.words) == (0xC304, True)


def test_output_may_be_empty_but_not_left_out() -> None:
    item = done()[TAGS["UnifiedProcedureStepPerformedProcedureSequence"]][0]
    del item[TAGS["OutputInformationSequence"]]
    problem = problem_of_final_state(
        {TAGS["UnifiedProcedureStepPerformedProcedureSequence"]: [item]}, WorkitemState.COMPLETED
    )
    assert problem is not None


def test_what_cancelling_needs() -> None:
    assert problem_of_final_state({}, WorkitemState.CANCELED) is not None
    problem = problem_of_final_state(why(), WorkitemState.CANCELED)
    assert problem is not None
    assert "ProcedureStepCancellationDateTime" in problem.words


def test_uids_and_the_transaction_uid_are_not_kept() -> None:
    values = attributes(SOPClassUID="1.2", SOPInstanceUID="1.3", TransactionUID="1.4", ProcedureStepLabel="x")
    assert without(values) == attributes(ProcedureStepLabel="x")
