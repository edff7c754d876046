"""The report on an order: which version is valid."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID, TEXT_VALUE
from gantry.common.events import OrderCancelled, OrderReported
from gantry.common.orders import Order, fold_order, is_apart, pack, values_in, with_values, without_values
from tests.support.orders import PARTITION, placed
from tests.support.orders import order as order_values


def reported(status: str, change: str = "r1", text: str = "No fracture.") -> OrderReported:
    values = pack({TEXT_VALUE: [text]})
    return OrderReported(PARTITION, "", "A1", change, "hl7 RIS^H", "M1", 5, values, status, ("1.2.3",))


def with_patient() -> dict[int, Any]:
    """What the order says of its patient and all else."""
    return {**order_values(), PATIENT_ID: ["P1"]}


def after(*statuses: str) -> tuple[Order, str]:
    """The order, and why the last one was refused."""
    order, reason = fold_order(None, placed()).state, ""
    for number, status in enumerate(statuses):
        verdict = fold_order(order, reported(status, f"r{number}", status))
        order, reason = verdict.state, verdict.reason
    assert order is not None
    return order, reason


def test_last_report_stands_with_what_it_says() -> None:
    order, reason = after("preliminary", "final", "corrected")
    assert reason == ""
    assert order.report is not None
    assert (order.report.status.value, order.report.studies, order.report.message) == ("corrected", ("1.2.3",), "M1")
    assert order.report.attributes == {TEXT_VALUE: ["corrected"]}


def test_draft_takes_the_place_of_no_final_report() -> None:
    for final in ("final", "corrected"):
        order, reason = after(final, "preliminary")
        assert reason == "the report is final already: a draft does not take its place"
        assert order.report is not None
        assert order.report.status.value == final
    assert after("final", "cancelled", "preliminary")[1] == ""


def test_report_needs_its_order_and_stays_when_that_is_placed_anew_or_cancelled() -> None:
    assert fold_order(None, reported("final")).reason == "there is no such order"
    order, _ = after("final")
    again = fold_order(order, placed(change="c2")).state
    assert again is not None
    assert again.report == order.report
    cancelled = fold_order(again, OrderCancelled(PARTITION, "", "A1", "c3", "rest", "", 6, (), "")).state
    assert cancelled is not None
    assert cancelled.report == order.report
    assert fold_order(cancelled, reported("corrected", "r9")).accepted


@pytest.mark.parametrize(
    ("says", "stays"),
    [({PATIENT_ID: ["OTHER"]}, False), ({ISSUER_OF_PATIENT_ID: ["X"]}, True), ({PATIENT_ID: []}, False)],
    ids=["another patient", "an issuer beside", "nobody"],
)
def test_report_of_one_patient_is_none_of_another_for_whom_the_order_is_placed(
    says: dict[int, list[str]], stays: bool
) -> None:
    order, _ = after("final")
    again = fold_order(order, placed({**with_patient(), **says}, change="c2")).state
    assert again is not None
    assert (again.report is not None) is stays


def test_status_of_a_newer_release_is_refused_in_words() -> None:
    assert after("appended")[1] == "no status of a report"


def test_what_it_says_lies_apart_and_is_refused_once_it_is_erased() -> None:
    event = reported("final")
    bare = without_values(event, "order-values/x", values_in(event))
    assert is_apart(bare)
    assert with_values(bare, values_in(event)).attributes == event.attributes
    order, _ = after()
    assert fold_order(order, bare).reason == "what it said is erased"
