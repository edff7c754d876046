"""`gantry.common.lifecycle.route_board`: what somebody may decide about, and how each destination does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.events import Event, RouteDelayed, RouteEnded, RouteProgressed, RouteRequested
from gantry.common.lifecycle import route_board
from gantry.common.lifecycle.route_board import (
    DAY_US,
    FORGOTTEN_US,
    MOST_ENDED,
    DestinationState,
    RouteBoard,
    may_be_retried,
)
from gantry.common.lifecycle.routes import CANCELLED, DELIVERED, FAILED, RouteLedger, RouteState


def requested(route: str, to: str = "PACS", at: int = 1, study: str = "") -> RouteRequested:
    return RouteRequested("default", "", study or f"1.{route}", route, "rule", to, "a", "b", at)


def delayed(route: str, why: str) -> RouteDelayed:
    return RouteDelayed("default", "", f"1.{route}", route, 1, why, 2, 99)


def ended(route: str, outcome: str, at: int = 5, withheld: int = 0) -> RouteEnded:
    return RouteEnded("default", "", f"1.{route}", route, outcome, 1, 0, "", at, withheld=withheld)


def board(*events: Event) -> RouteBoard:
    made = RouteBoard()
    for event in events:
        made.take(event)
    return made


def names(states: Sequence[RouteState]) -> list[str]:
    return [state.requested.route for state in states]


def test_what_waits_is_listed_from_the_oldest_and_what_ended_from_the_latest() -> None:
    made = board(
        *(requested("1", at=3), requested("2", at=1), requested("3", "RIS"), requested("4", at=4), requested("5")),
        *(ended("4", FAILED, 8), ended("5", CANCELLED, 9), delayed("2", "it does not answer")),
    )
    assert names(made.waiting()) == ["2", "3", "1"]
    assert names(made.waiting("RIS")) == ["3"]
    assert names(made.ended()) == ["5", "4"]
    assert names(made.failed()) == ["4"]
    assert made.ended("RIS") == []
    assert [may_be_retried(state) for state in made.ended()] == [True, True]
    assert made.destinations(10) == [
        DestinationState("PACS", 2, 1, "it does not answer", 1),
        DestinationState("RIS", 1, 1),
    ]


def test_what_was_delivered_is_counted_and_not_listed_unless_something_was_withheld() -> None:
    made = board(
        *(requested("1"), requested("2"), requested("3"), ended("1", DELIVERED, 5), ended("2", DELIVERED, 7)),
        ended("3", DELIVERED, 8, withheld=2),
    )
    assert (made.waiting(), names(made.ended()), made.failed()) == ([], ["3"], [])
    assert made.destinations(9) == [DestinationState("PACS", delivered_in_a_day=3, delivered_at=8)]
    assert made.destinations(9 + DAY_US) == [DestinationState("PACS", delivered_at=8)]
    assert made.destinations(9 + FORGOTTEN_US) == []
    assert made.ended() == []


def test_completion_that_is_read_twice_does_not_bring_back_what_was_delivered() -> None:
    made = board(requested("1"), ended("1", DELIVERED), requested("1"))
    assert made.waiting() == []


def test_what_is_sent_again_is_no_longer_listed_as_failed() -> None:
    again = replace(requested("1", at=7), route="2", by="ada", until=99)
    made = board(requested("1"), ended("1", FAILED), again)
    assert (names(made.waiting()), made.failed()) == (["2"], [])
    made.take(ended("2", FAILED, 9))
    assert (made.waiting(), names(made.failed())) == ([], ["2"])
    assert names(board(requested("1"), ended("1", FAILED), requested("1")).failed()) == ["1"]
    assert names(board(requested("1"), ended("1", FAILED), requested("2", study="1.1", to="RIS")).failed()) == ["1"]


def test_what_is_held_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_ENDED >= 1000
    monkeypatch.setattr(route_board, "MOST_ENDED", 2)
    made = board(*(event for n in "1234" for event in (requested(n), ended(n, FAILED, int(n)))))
    assert names(made.ended()) == ["4", "3"]


_NAMES = st.sampled_from("abc")
EVENTS = st.lists(
    st.one_of(
        st.builds(requested, _NAMES, st.sampled_from(["PACS", "RIS"])),
        st.builds(delayed, _NAMES, st.just("away")),
        st.builds(lambda n: RouteProgressed("default", "", f"1.{n}", n, ("1.2",), 1), _NAMES),
        st.builds(ended, _NAMES, st.sampled_from([DELIVERED, FAILED, CANCELLED])),
    ),
    max_size=30,
)


@given(EVENTS)
def test_board_says_what_the_ledger_says_of_all_that_is_open_or_failed(events: list[Event]) -> None:
    made, ledger = board(*events), RouteLedger()
    for event in events:
        ledger.take(event)
    assert made.waiting() == ledger.open()
    failed = {route.requested.route for route in ledger.routes.values() if route.outcome == FAILED}
    assert set(names(made.failed())) == failed
