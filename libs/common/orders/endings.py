"""When nothing more is expected of an order (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from gantry.common.orders.model import Order
from gantry.common.orders.questions import start_of
from gantry.common.orders.states import IDLE, StepState


def is_over(order: Order, states: Mapping[str, StepState], today: str) -> bool:
    """Whether no step of an order is in progress or to come. Where modalities tell nothing of what they perform, a step
    is over when the day (YYYYMMDD) on which it was to begin is; one without a date stays to come."""
    for step in order.steps.values():
        state = states.get(step.id, StepState.SCHEDULED)
        if state is StepState.STARTED:
            return False
        start = start_of(step.attributes)
        if state in IDLE and (not start or start[:8] >= today):
            return False
    return True


def day_before(now_us: int, days: int) -> tuple[int, str]:
    """So many days before a time: in microseconds since the epoch, and the day in UTC as YYYYMMDD."""
    then = datetime.fromtimestamp(now_us // 1_000_000, UTC) - timedelta(days=days)
    return now_us - days * 24 * 3600 * 1_000_000, f"{then:%Y%m%d}"
