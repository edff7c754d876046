"""The state machine of performed procedure steps (PS3.4 F.7): every status that the standard names, and properties."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common import statuses
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.events import ProcedureStepErased
from gantry.common.orders import (
    FINAL,
    PerformedState,
    PerformedStep,
    StepEvent,
    Verdict,
    fold_step,
    values_in,
    without_values,
)
from tests.support.orders import attributes, created, ended, performed, reference, set_

STATUS = TAGS["PerformedProcedureStepStatus"]
COMMENTS = TAGS["CommentsOnThePerformedProcedureStep"]


def fold_all(*events: StepEvent) -> Verdict[PerformedStep]:
    verdict: Verdict[PerformedStep] = Verdict(False, "nothing happened", None)
    for event in events:
        verdict = fold_step(verdict.state, event)
    return verdict


def standing(*events: StepEvent) -> PerformedStep:
    verdict = fold_all(*events)
    assert verdict.accepted, verdict.reason
    assert verdict.state is not None
    return verdict.state


def test_a_step_is_created_in_progress() -> None:
    assert standing(created()).state is PerformedState.IN_PROGRESS


@pytest.mark.parametrize("state", ["COMPLETED", "DISCONTINUED", "STARTED", "in progress"])
def test_a_step_cannot_be_created_in_another_state(state: str) -> None:
    verdict = fold_all(created(performed(PerformedProcedureStepStatus=state)))
    assert (verdict.accepted, verdict.status, verdict.state) == (False, statuses.INVALID_ATTRIBUTE_VALUE, None)


def test_a_second_creation_is_a_duplicate_whatever_it_says() -> None:
    verdict = fold_all(created(), created(performed(PatientID="P2"), "m9"))
    assert (verdict.accepted, verdict.status) == (False, statuses.DUPLICATE_SOP_INSTANCE)
    assert verdict.state == standing(created())


def test_a_creation_lacks_an_attribute_or_its_value() -> None:
    missing = fold_all(created(performed(Modality=None)))
    assert (missing.status, missing.reason) == (statuses.MISSING_ATTRIBUTE, "Modality is missing")
    empty = fold_all(created(performed(Modality=[])))
    assert (empty.status, empty.reason) == (statuses.MISSING_ATTRIBUTE_VALUE, "Modality has no value")


def test_attributes_are_set_while_it_is_in_progress() -> None:
    step = standing(created(), set_(attributes(CommentsOnThePerformedProcedureStep="moved")))
    assert step.attributes[COMMENTS] == ["moved"]
    assert step.state is PerformedState.IN_PROGRESS


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_step_ends_and_is_not_updated_any_more(state: PerformedState) -> None:
    over = standing(created(), set_(ended(state.value)))
    assert over.state is state
    later = fold_all(created(), set_(ended(state.value)), set_(ended("COMPLETED"), "m9"))
    assert (later.accepted, later.status) == (False, statuses.PROCESSING_FAILURE)
    assert later.error_id == statuses.PERFORMED_PROCEDURE_STEP_IS_FINAL
    assert later.state == over


def test_what_was_never_created_cannot_be_set() -> None:
    assert fold_all(set_()).status == statuses.NO_SUCH_OBJECT_INSTANCE


def test_a_state_that_there_is_not_is_an_invalid_value() -> None:
    for state in ("DONE", []):
        verdict = fold_all(created(), set_(attributes(PerformedProcedureStepStatus=state)))
        assert (verdict.accepted, verdict.status) == (False, statuses.INVALID_ATTRIBUTE_VALUE)


@pytest.mark.parametrize("state", sorted(FINAL))
@pytest.mark.parametrize(
    "keyword", ["PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", "PerformedSeriesSequence"]
)
def test_a_step_does_not_end_without_what_its_final_state_needs(state: PerformedState, keyword: str) -> None:
    verdict = fold_all(created(), set_(ended(state.value, **{keyword: None})))
    assert (verdict.accepted, verdict.status) == (False, statuses.MISSING_ATTRIBUTE_VALUE)
    assert verdict.state == standing(created())
    # It may have been set before.
    early = {keyword: ended(state.value)[TAGS[keyword]]}
    before = set_(attributes(**early), "m8")
    assert standing(created(), before, set_(ended(state.value, **{keyword: None}))).state is state


def test_what_may_not_be_set_stays_and_a_contradiction_is_a_warning() -> None:
    same = fold_all(created(), set_(ended(PatientID="P1")))
    assert (same.accepted, same.status) == (True, statuses.SUCCESS)
    other = fold_all(created(), set_(ended(PatientID="P2") | performed(reference(AccessionNumber="A9"))
                                     | attributes(PerformedProcedureStepStatus="COMPLETED")))  # fmt: skip
    assert (other.accepted, other.status) == (True, statuses.ATTRIBUTE_LIST_ERROR)
    assert other.state is not None
    assert other.state.attributes[TAGS["PatientID"]] == ["P1"]
    assert other.state.state is PerformedState.COMPLETED


def test_an_event_that_cannot_be_read_is_refused() -> None:
    assert fold_all(replace(created(), attributes=b"\xc1")).status == statuses.PROCESSING_FAILURE


_SOME_STATES = st.sampled_from(["IN PROGRESS", "COMPLETED", "DISCONTINUED", "ARRIVED"])
_EVENTS = st.one_of(
    _SOME_STATES.map(lambda state: created(performed(PerformedProcedureStepStatus=state))),
    _SOME_STATES.map(lambda state: set_(ended(state))),
    _SOME_STATES.map(lambda state: set_(ended(state, PerformedSeriesSequence=None))),
    st.text(max_size=3).map(lambda text: set_(attributes(CommentsOnThePerformedProcedureStep=text))),
)


@given(st.lists(_EVENTS, max_size=10))
def test_a_step_is_created_once_ends_once_and_never_goes_back(events: list[StepEvent]) -> None:
    step: PerformedStep | None = None
    for event in events:
        verdict = fold_step(step, event)
        assert verdict == fold_step(step, event)
        assert verdict.accepted or (verdict.state == step and verdict.status != statuses.SUCCESS)
        if step is not None:
            assert verdict.state is not None
            assert step.state not in FINAL or verdict.state == step
        if verdict.state is not None:
            assert verdict.state.attributes[STATUS] == [verdict.state.state.value]
        step = verdict.state


def test_an_erased_step_is_nothing_and_nothing_comes_of_what_it_said() -> None:
    step = fold_step(None, created()).state
    gone = ProcedureStepErased("default", "", "1.2.840.5", "m9", "archive", "", 9, "the law")
    verdict = fold_step(step, gone)
    assert (verdict.accepted, verdict.state) == (True, None)
    for event, status in ((created(), 0x0111), (set_(), 0x0112)):
        apart = without_values(event, "key", values_in(event))
        refused = fold_step(None, apart)  # type: ignore[arg-type]
        assert (refused.accepted, refused.reason, refused.status) == (False, "what it said is erased", status)
