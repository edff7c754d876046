"""Where a modality's procedure steps are forwarded, and the answers of destinations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gantry.common.dicom.standard.tags import PERFORMED_PROCEDURE_STEP_STATUS
from gantry.common.events import OrderErased, ProcedureStepCreated, ProcedureStepErased, ProcedureStepSet
from gantry.common.lifecycle.routes import STEP, STEP_EVENT
from gantry.common.orders import pack
from gantry.services.retrieve.routing.step_messages import (
    StepEventType,
    StepMessage,
    StepRule,
    event_of,
    is_taken,
    step_requests,
)

CREATED = ProcedureStepCreated("default", "t", "1.2", "c1", "ae CT1", "", 5, b"", "values", 7, "blake3:00")
SET = ProcedureStepSet("default", "t", "1.2", "c2", "ae CT1", "", 6, b"")
RIS = StepRule("ris", frozenset(), to=("RIS",))
BOARD = StepRule("board", frozenset(("CT1",)), notify=("BOARD", "CT1"))


def said(status: str | None) -> ProcedureStepSet:
    values = {} if status is None else {PERFORMED_PROCEDURE_STEP_STATUS: [status]}
    return replace(SET, attributes=pack(values))


@pytest.mark.parametrize(
    ("message", "number"),
    [
        pytest.param(CREATED, 1, id="in progress"),
        pytest.param(said("COMPLETED"), 2, id="completed"),
        pytest.param(said("DISCONTINUED"), 3, id="discontinued"),
        pytest.param(said("IN PROGRESS"), 4, id="still in progress"),
        pytest.param(said(None), 4, id="updated"),
    ],
)
def test_events_have_the_numbers_of_the_standard(message: StepMessage, number: int) -> None:
    """PS3.4 table F.9.2-1."""
    assert event_of(message) == number


def test_each_destination_is_told_once_by_the_first_rule_that_names_it_and_the_sender_never() -> None:
    twice = StepRule("twice", frozenset(), to=("RIS", "CT1"), notify=("BOARD",))
    routes = list(step_requests(CREATED, StepEventType.IN_PROGRESS, [RIS, BOARD, twice], 9))
    assert [(route.destination, route.kind, route.rule) for route in routes] == [
        ("RIS", STEP, "ris"),
        ("BOARD", STEP_EVENT, "board"),
    ]
    assert {(route.study_instance_uid, route.requestor, route.step_event, route.at) for route in routes} == {
        ("1.2", "CT1", 1, 9)
    }
    # What it says goes with the message alone: an event says nothing of a patient.
    assert [route.values_key for route in routes] == ["values", ""]
    assert len({route.route for route in routes}) == 2


def test_a_message_that_is_read_twice_asks_for_the_same_routes_and_another_one_for_others() -> None:
    first, again, other = (
        [route.route for route in step_requests(message, StepEventType.UPDATED, [RIS], at)]
        for message, at in ((CREATED, 1), (CREATED, 2), (SET, 1))
    )
    assert first == again
    assert first != other


def test_rules_are_about_what_their_sources_said() -> None:
    other = replace(SET, source="ae MR1")
    assert [route.destination for route in step_requests(other, StepEventType.UPDATED, [BOARD, RIS], 1)] == ["RIS"]


def test_an_erasure_is_told_of_each_step_and_sent_on_to_nobody() -> None:
    of_order = OrderErased("default", "t", "A1", "c3", "anna", "", 7, "c2", ("1.2", "1.3"), "the law")
    routes = list(step_requests(of_order, StepEventType.DELETED, [BOARD, RIS], 1))
    assert {(route.destination, route.study_instance_uid, route.step_event) for route in routes} == {
        *(("BOARD", uid, 5) for uid in ("1.2", "1.3")),
        *(("CT1", uid, 5) for uid in ("1.2", "1.3")),
    }
    alone = ProcedureStepErased("default", "t", "1.4", "c4", "archive", "", 7, "old")
    assert {route.study_instance_uid for route in step_requests(alone, StepEventType.DELETED, [BOARD], 1)} == {"1.4"}


@pytest.mark.parametrize(
    ("message", "status", "error_id", "taken"),
    [
        pytest.param(CREATED, 0x0000, 0, True, id="success"),
        pytest.param(CREATED, 0x0107, 0, True, id="a warning"),
        pytest.param(CREATED, 0x0111, 0, True, id="it was created before"),
        pytest.param(CREATED, 0x0110, 0, False, id="it cannot be created"),
        pytest.param(said("COMPLETED"), 0x0111, 0, False, id="N-SET has no duplicates"),
        pytest.param(said("COMPLETED"), 0x0110, 0xA710, True, id="it was over before"),
        pytest.param(said("DISCONTINUED"), 0x0110, 0xA710, True, id="it was discontinued before"),
        pytest.param(said("COMPLETED"), 0x0110, 0, False, id="it cannot be completed"),
        pytest.param(said(None), 0x0110, 0xA710, False, id="it is over and cannot be updated"),
        pytest.param(said(None), 0x0112, 0, False, id="there is none"),
    ],
)
def test_what_a_destination_had_before_is_taken(message: StepMessage, status: int, error_id: int, taken: bool) -> None:
    (route,) = step_requests(message, event_of(message), [RIS], 1)
    assert is_taken(route, status, error_id) is taken


def test_an_event_is_taken_only_where_its_receiver_says_so() -> None:
    (route,) = step_requests(replace(CREATED, source="ae MR1"), StepEventType.IN_PROGRESS, [BOARD, RIS], 1)
    (event,) = step_requests(CREATED, StepEventType.IN_PROGRESS, [BOARD], 1)
    assert is_taken(route, 0x0111)
    assert not is_taken(event, 0x0111)
    assert is_taken(event, 0)
