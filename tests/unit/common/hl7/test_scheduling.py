"""What appointments change."""

from __future__ import annotations

import pytest

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.hl7.message import parse
from gantry.common.hl7.orders import MessageOrigin
from gantry.common.hl7.problems import ErrorCode, MessageRefused
from gantry.common.hl7.profiles import DEFAULT
from gantry.common.hl7.scheduling import appointment_actions
from gantry.common.orders import OrderChange
from tests.support.messages import PATIENT, message, segment


def change(event: str, sch: dict[int, str], *more: str) -> OrderChange:
    raw = message(f"SIU^{event}", segment("SCH", sch), segment("PID", PATIENT), *more)
    parsed = parse(raw.decode())
    (action,) = appointment_actions(parsed, DEFAULT, MessageOrigin.of(parsed, "c"))
    assert isinstance(action, OrderChange)
    return action


@pytest.mark.parametrize("event", ["S12", "S13"])
def test_a_booked_appointment_says_when_the_step_of_its_order_is(event: str) -> None:
    action = change(event, {11: "^^^202612011400", 27: "A100"})
    assert (action.order, dict(action.attributes)) == ("A100", {})
    assert action.steps == {
        "1": {
            TAGS["ScheduledProcedureStepStartDate"]: ["20261201"],
            TAGS["ScheduledProcedureStepStartTime"]: ["1400"],
        }
    }


def test_a_cancelled_appointment_takes_the_time_away_and_leaves_the_order() -> None:
    action = change("S15", {27: "A100"}, segment("OBR", {20: "S1"}))
    step = action.steps["S1"]
    assert step is not None
    assert step[TAGS["ScheduledProcedureStepStartDate"]] is None
    assert step[TAGS["ScheduledProcedureStepStartTime"]] is None


def test_an_appointment_without_order_or_time_is_refused() -> None:
    with pytest.raises(MessageRefused, match="names no order") as refused:
        change("S12", {})
    assert {problem.code for problem in refused.value.problems} == {ErrorCode.REQUIRED_FIELD_MISSING}
    assert len(refused.value.problems) == 2
    with pytest.raises(MessageRefused, match="not taken") as refused:
        change("S99", {27: "A1"})
    assert refused.value.rejected
