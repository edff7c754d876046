"""Parameters of a search for orders."""

from __future__ import annotations

import pytest

from gantry.common.dicom.query.matching import Item, Single, Wildcard
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import IdentifierError
from gantry.common.orders import StepState
from gantry.common.web.errors import HttpProblem
from gantry.services.orders.web.parameters import MOST, order_search


def test_keys_of_the_order_and_of_its_steps_are_told_apart() -> None:
    search = order_search([("PatientName", "Doe*"), ("Modality", "CT"), ("limit", "5"), ("offset", "10")])
    assert search.query.conditions == {
        TAGS["PatientName"]: Wildcard(("Doe*",)),
        TAGS["ScheduledProcedureStepSequence"]: Item({TAGS["Modality"]: Single(("CT",))}),
    }
    assert (search.limit, search.offset) == (5, 10)
    assert search.query.orders


def test_who_asks_for_states_does_not_mean_orders_without_steps() -> None:
    search = order_search([("state", "SCHEDULED,ARRIVED")])
    assert search.query.states == {StepState.SCHEDULED, StepState.ARRIVED}
    assert not search.query.orders


def test_a_limit_is_no_more_than_the_most() -> None:
    assert order_search([("limit", "100000")]).limit == MOST
    assert order_search([]).limit == MOST


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("state", "DONE", "state is a list of SCHEDULED"),
        ("limit", "-1", "limit is no number"),
        ("offset", "x", "offset is no number"),
        ("offset", "999999", "ask for a range of dates"),
        ("Rows", "1", "is not a parameter of orders"),
        ("PatientName", "x" * 1025, "longer than 1024"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(name: str, value: str, words: str) -> None:
    with pytest.raises(HttpProblem, match=words) as refusal:
        order_search([(name, value)])
    assert refusal.value.status == 400


def test_a_date_that_is_none_is_refused() -> None:
    with pytest.raises(IdentifierError):
        order_search([("ScheduledProcedureStepStartDate", "tomorrow")])
