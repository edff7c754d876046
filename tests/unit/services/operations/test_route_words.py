"""`gantry.services.operations.route_words`: a route in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gantry.common.events import RouteRequested
from gantry.common.lifecycle.route_timing import RouteTimes
from gantry.common.lifecycle.routes import FAILED, MOVE, PREFETCH, STEP, RouteState
from gantry.services.operations.route_words import WaitingTimes, as_json, because_of, open_state, what_goes

ROUTE = RouteRequested("default", "", "1.2", "r1", "night", "PACS", "a", "b", 1_700_000_000_000_000)
NOW = WaitingTimes(RouteTimes({}, None), 1_700_000_000_000_000)


@pytest.mark.parametrize(
    ("route", "subject", "why"),
    [
        (ROUTE, "objects", "night"),
        (replace(ROUTE, deidentify="research"), "objects, de-identified by research", "night"),
        (replace(ROUTE, kind=MOVE, requestor="WS1"), "move", "C-MOVE of WS1"),
        (replace(ROUTE, kind=PREFETCH, requestor="A1"), "prefetch", "night, order A1"),
    ],
)
def test_what_goes_and_why(route: RouteRequested, subject: str, why: str) -> None:
    assert (what_goes(route), because_of(route)) == (subject, why)


@pytest.mark.parametrize(
    ("state", "opens", "expected"),
    [
        (RouteState(ROUTE), 0, "new"),
        (RouteState(ROUTE), 5, "waits for its time"),
        (RouteState(ROUTE, attempts=1), 0, "waits"),
        (RouteState(ROUTE, again=9), 0, "waits"),
        (RouteState(replace(ROUTE, kind=MOVE)), 0, "under way"),
        (RouteState(replace(ROUTE, kind=MOVE, by="ada")), 0, "new"),
    ],
)
def test_what_an_open_route_does(state: RouteState, opens: int, expected: str) -> None:
    assert open_state(state, opens) == expected


def test_all_that_is_said_of_a_route() -> None:
    waits = RouteState(replace(ROUTE, asked=3), 2, "away", 1_700_000_060_000_000, taken=frozenset(("1.2.3",)))
    values = as_json(waits, NOW)
    assert {name: values[name] for name in ("route", "study", "step", "state", "left", "attempts", "why", "next")} == {
        "route": "r1",
        "study": "1.2",
        "step": None,
        "state": "waits",
        "left": 2,
        "attempts": 2,
        "why": "away",
        "next": NOW.next(waits),
    }
    assert NOW.next_us(waits) == 1_700_000_060_000_000
    ended = replace(waits, outcome=FAILED, failed=2)
    assert (as_json(ended, NOW)["state"], as_json(ended, NOW)["next"], NOW.next_us(ended)) == ("failed", None, 0)
    step = as_json(RouteState(replace(ROUTE, kind=STEP)), NOW)
    assert (step["study"], step["step"], step["kind"]) == (None, "1.2", "step")
