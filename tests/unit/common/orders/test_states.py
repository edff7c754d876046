"""The state of a scheduled step follows from its order and all performed steps that refer to it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.orders import (
    Order,
    PerformedState,
    PerformedStep,
    StepState,
    fold_order,
    references_of,
    refers_to,
    state_of,
    studies_of,
)
from gantry.common.orders.states import scheduled_state
from tests.support.orders import attributes, cancelled, linked, order, performed, placed, reference, step


def standing(*steps: dict[int, list[Any]], **values: Any) -> Order:
    verdict = fold_order(None, placed(order(*steps, **values)))
    assert verdict.state is not None
    return verdict.state


def doing(state: str, *references: dict[int, list[Any]], **values: Any) -> PerformedStep:
    return PerformedStep("default", "1.2.840.5", PerformedState(state), performed(*references, **values))


def states(standing_order: Order, *performed_steps: PerformedStep) -> list[StepState]:
    return [state_of(standing_order, planned_step, performed_steps) for planned_step in standing_order.steps.values()]


@pytest.mark.parametrize("state", ["SCHEDULED", "ARRIVED", "READY", "STARTED", "DEPARTED"])
def test_without_performed_steps_it_is_what_the_order_says(state: str) -> None:
    assert states(standing(step(ScheduledProcedureStepStatus=state))) == [StepState(state)]


def test_a_status_that_nobody_knows_is_scheduled() -> None:
    assert scheduled_state(attributes(ScheduledProcedureStepStatus="WHATEVER")) is StepState.SCHEDULED
    assert scheduled_state(attributes(ScheduledProcedureStepStatus="CANCELED")) is StepState.CANCELLED


@pytest.mark.parametrize(
    ("performing", "state"), [("IN PROGRESS", "STARTED"), ("COMPLETED", "COMPLETED"), ("DISCONTINUED", "DISCONTINUED")]
)
def test_all_steps_that_are_referred_to_change_their_state(performing: str, state: str) -> None:
    standing_order = standing(step("S1"), step("S2"), step("S3"))
    performed_step = doing(performing, reference(), reference(ScheduledProcedureStepID="S2"))
    assert states(standing_order, performed_step) == [StepState(state), StepState(state), StepState.SCHEDULED]


def test_a_step_of_several_orders_changes_each_of_them() -> None:
    """The group case: the modality makes a study of its own, and refers to those of the requests (F.7.2.1.2)."""
    other = standing(step("S1"), AccessionNumber="A2", StudyInstanceUID="1.2.4")
    by_accession = reference(StudyInstanceUID="1.2.9", AccessionNumber="A2")
    studies = [attributes(ReferencedSOPInstanceUID="1.2.4")]
    by_study = reference(StudyInstanceUID="1.2.9", AccessionNumber=[], ReferencedStudySequence=studies)
    for second in (by_accession, by_study):
        performed_step = doing("IN PROGRESS", reference(StudyInstanceUID="1.2.9"), second)
        assert states(standing(), performed_step) == states(other, performed_step) == [StepState.STARTED]


def test_a_step_of_another_order_with_the_same_id_is_not_meant() -> None:
    performed_step = doing("IN PROGRESS", reference(StudyInstanceUID="1.2.4", AccessionNumber="A2"))
    assert states(standing(), performed_step) == [StepState.SCHEDULED]
    nowhere = doing("IN PROGRESS", reference(StudyInstanceUID="1.2.4", AccessionNumber=[]))
    assert states(standing(AccessionNumber=None), nowhere) == [StepState.SCHEDULED]


def test_the_study_alone_means_its_steps_of_the_same_modality() -> None:
    standing_order = standing(step("S1"), step("S2", Modality="MR"), step("S3", Modality=None))
    unscheduled = doing("IN PROGRESS", reference(AccessionNumber=[], ScheduledProcedureStepID=[]))
    assert states(standing_order, unscheduled) == [StepState.STARTED, StepState.SCHEDULED, StepState.STARTED]


def test_an_unscheduled_step_of_a_study_that_nobody_ordered_means_nothing() -> None:
    performed_step = doing(
        "IN PROGRESS", reference(StudyInstanceUID="1.9", AccessionNumber=[], ScheduledProcedureStepID=[])
    )
    assert states(standing(), performed_step) == [StepState.SCHEDULED]
    assert not any(refers_to(performed_step, standing(StudyInstanceUID=None), s) for s in standing().steps.values())


def test_what_is_cancelled_is_so_unless_it_was_performed() -> None:
    standing_order = fold_order(standing(step("S1"), step("S2")), cancelled("S2")).state
    assert standing_order is not None
    assert states(standing_order) == [StepState.SCHEDULED, StepState.CANCELLED]
    whole = fold_order(standing_order, cancelled()).state
    assert whole is not None
    assert states(whole) == [StepState.CANCELLED, StepState.CANCELLED]
    assert states(whole, doing("COMPLETED")) == [StepState.COMPLETED, StepState.CANCELLED]


@pytest.mark.parametrize(
    ("several", "state"),
    [
        (["DISCONTINUED", "COMPLETED"], "COMPLETED"),
        (["COMPLETED", "IN PROGRESS"], "STARTED"),
        (["DISCONTINUED", "DISCONTINUED"], "DISCONTINUED"),
        (["DISCONTINUED", "IN PROGRESS"], "STARTED"),
    ],
)
def test_several_performed_steps_of_one_scheduled_step_count_together(several: list[str], state: str) -> None:
    for states_in_turn in itertools.permutations(several):
        assert states(standing(), *map(doing, states_in_turn)) == [StepState(state)]


@given(st.lists(st.sampled_from(list(PerformedState)), max_size=4), st.randoms())
def test_the_order_in_which_performed_steps_are_known_does_not_matter(
    several: list[PerformedState], random: Any
) -> None:
    performed_steps = [doing(state.value) for state in several]
    before = states(standing(), *performed_steps)
    random.shuffle(performed_steps)
    assert states(standing(), *performed_steps) == before


def test_references_are_read_with_what_they_lack() -> None:
    (step_reference,) = references_of(doing("IN PROGRESS", reference(AccessionNumber=None)))
    assert (step_reference.studies, step_reference.accession, step_reference.step) == (frozenset({"1.2.3"}), "", "S1")
    assert TAGS["StudyInstanceUID"] in reference()


def linked_to_it(original: Order, study: str = "1.2.9") -> Order:
    order = fold_order(original, linked(study)).state
    assert order is not None
    return order


def test_the_steps_of_an_order_whose_study_is_there_without_any_performed_step_are_completed() -> None:
    assert states(linked_to_it(standing(step("S1"), step("S2")))) == [StepState.COMPLETED] * 2


def test_what_was_performed_for_a_study_that_is_linked_elsewhere_counts_there() -> None:
    """The modality chose the entry of order A1, and the patient of order A2 was in the room."""
    chosen = standing(step("S1"))
    wrong = doing("IN PROGRESS", reference())
    meant = fold_order(
        None, placed(order(step("S7"), step("S8", Modality="MR"), StudyInstanceUID="1.7"), key="A2")
    ).state
    assert meant is not None
    links = {"1.2.3": "A2"}
    assert state_of(chosen, chosen.steps["S1"], [wrong], links) is StepState.SCHEDULED
    after = [state_of(meant, planned_step, [wrong], links) for planned_step in meant.steps.values()]
    assert after == [StepState.STARTED, StepState.SCHEDULED]
    assert state_of(chosen, chosen.steps["S1"], [wrong]) is StepState.STARTED  # and back, when that is undone


def test_the_studies_of_an_order_are_its_own_those_linked_and_those_performed() -> None:
    referring = doing("COMPLETED", reference(StudyInstanceUID="1.2.7"))
    assert studies_of(replace(standing(), linked={"1.2.9": "k"}), [referring]) == ["1.2.3", "1.2.7", "1.2.9"]
    assert studies_of(None, [referring]) == ["1.2.7"]
    assert studies_of(None, []) == []
