"""`gantry.services.orders.workitems.routes`."""

from __future__ import annotations

from dataclasses import replace

from gantry.common.events import WorkitemSet
from gantry.common.lifecycle.routes import may_be_next
from gantry.common.workitems import Workitem, WorkitemRecipient, WorkitemState
from gantry.common.workitems.reports import reports_of
from gantry.services.orders.workitems.happenings import Happening
from gantry.services.orders.workitems.routes import workitem_routes
from tests.support.workitems import MINE, UID, set_, state, why, workitem

STANDING = Workitem("default", UID, WorkitemState.IN_PROGRESS, workitem(), "blake3:mine")
TOLD = (WorkitemRecipient("BOARD", 1, lock=False),)


def test_a_state_is_told_in_the_route_itself() -> None:
    event = state("IN PROGRESS")
    happening = Happening(event, STANDING, reports_of(event, STANDING), TOLD)
    first, second = workitem_routes(happening, ["BOARD", "OTHER"], 7)
    assert (first.destination, second.destination) == ("BOARD", "OTHER")
    assert first.route != second.route
    assert (first.kind, first.step_event, first.step_state, first.step_readiness) == (
        "workitem event", 1, "IN PROGRESS", "READY",
    )  # fmt: skip
    assert (first.study_instance_uid, first.requestor, first.values_key) == (UID, "W1", "")
    assert first.first_receipt == first.last_receipt == ""
    assert [first, second] == list(workitem_routes(happening, ["BOARD", "OTHER"], 7))


def test_what_may_name_somebody_is_in_the_object_of_the_event() -> None:
    event = set_(why(), MINE)
    assert isinstance(event, WorkitemSet)
    event = replace(event, values_key="order-values/a", values_size=3, values_digest="blake3:d")
    happening = Happening(event, STANDING, reports_of(event, STANDING), TOLD)
    (route,) = workitem_routes(happening, ["BOARD"], 7)
    assert (route.step_event, route.step_state) == (3, "")
    assert (route.values_key, route.values_size, route.values_digest) == ("order-values/a", 3, "blake3:d")


def test_reports_on_one_workitem_wait_for_each_other_and_for_no_other() -> None:
    def route(uid: str, change: str) -> object:
        event = state("IN PROGRESS", change=change, uid=uid)
        standing = replace(STANDING, uid=uid)
        (made,) = workitem_routes(Happening(event, standing, reports_of(event, standing), TOLD), ["BOARD"], 7)
        return made

    waiting = [route("1.1", "a"), route("1.1", "b"), route("1.2", "c")]
    assert may_be_next(waiting) == [0, 2]  # type: ignore[arg-type]  # routes, all of them
