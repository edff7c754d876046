"""When nothing more is expected of an order."""

from __future__ import annotations

import pytest

from gantry.common.orders import Order, ScheduledStep, StepState
from gantry.common.orders.endings import day_before, is_over
from tests.support.orders import step


def order_of(*starts: str | None) -> Order:
    steps = {
        f"S{number}": ScheduledStep(f"S{number}", step(f"S{number}", ScheduledProcedureStepStartDate=start))
        for number, start in enumerate(starts)
    }
    return Order("default", "A1", {}, steps)


@pytest.mark.parametrize(
    ("start", "state", "over"),
    [
        ("20260105", StepState.SCHEDULED, True),
        ("20260106", StepState.SCHEDULED, False),
        (None, StepState.SCHEDULED, False),
        (None, StepState.COMPLETED, True),
        ("20260107", StepState.CANCELLED, True),
        ("20260105", StepState.STARTED, False),
        ("20260107", StepState.DEPARTED, True),
    ],
)
def test_an_order_is_over_when_no_step_is_in_progress_or_to_come(
    start: str | None, state: StepState, over: bool
) -> None:
    assert is_over(order_of(start), {"S0": state}, "20260106") is over
    assert is_over(order_of("20260101", start), {"S0": StepState.COMPLETED, "S1": state}, "20260106") is over


def test_an_order_without_steps_is_over() -> None:
    assert is_over(order_of(), {}, "20260106")


def test_days_are_those_of_utc() -> None:
    assert day_before(1_767_657_599_000_000, 1) == (1_767_571_199_000_000, "20260104")
