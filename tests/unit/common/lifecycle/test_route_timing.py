"""`gantry.common.lifecycle.route_timing`: when what is sent on is sent, and what goes first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.events import RouteRequested
from gantry.common.lifecycle.route_timing import RoutePriority, RouteTimes, RouteTiming, TimeWindow

EAST = timezone(timedelta(hours=2))


def route(rule: str = "night", *, kind: str = "", by: str = "", name: str = "r") -> RouteRequested:
    return RouteRequested("default", "", "1.2", name, rule, "READING", "", "", 0, by, kind)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-28T{text}:30+00:00")


@pytest.mark.parametrize(
    ("window", "now", "opens"),
    [
        ("19:00-06:00", "18:59", "2026-11-28T19:00"),
        ("19:00-06:00", "19:00", None),
        ("19:00-06:00", "23:59", None),
        ("19:00-06:00", "00:00", None),
        ("19:00-06:00", "05:59", None),
        ("19:00-06:00", "06:00", "2026-11-28T19:00"),
        ("08:30-17:00", "08:29", "2026-11-28T08:30"),
        ("08:30-17:00", "16:59", None),
        ("08:30-17:00", "17:00", "2026-11-29T08:30"),
        ("00:00-00:00", "12:00", None),
    ],
)
def test_a_window_is_open_or_says_when_it_opens(window: str, now: str, opens: str | None) -> None:
    opening = TimeWindow.of(window).opens(at(now))
    assert (opening and f"{opening:%Y-%m-%dT%H:%M}") == opens


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439))
def test_it_is_open_when_it_says_that_it_opens(begins: int, ends: int, minute: int) -> None:
    window = TimeWindow(begins, ends)
    now = datetime(2026, 11, 28, minute // 60, minute % 60, 17, tzinfo=UTC)
    opens = window.opens(now)
    if opens is not None:
        assert now < opens <= now + timedelta(days=1)
        assert window.opens(opens) is None


@pytest.mark.parametrize("text", ["", "19-06", "24:00-06:00", "19:60-06:00", "19:00-06:00 ", "19:00"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not HH:MM-HH:MM"):
        TimeWindow.of(text)


def test_the_time_is_that_of_the_zone() -> None:
    times = RouteTimes({"night": RouteTiming(window=TimeWindow.of("19:00-06:00"))}, EAST)
    now = int(at("16:59").timestamp() * 1e6)
    opens = times.opens_us(route(), now)
    assert datetime.fromtimestamp(opens / 1e6, EAST).strftime("%H:%M") == "19:00"
    assert times.opens_us(route(), opens) == 0


def test_a_night_in_which_the_clock_is_put_forward_is_shorter_and_no_other() -> None:
    """Berlin has no 02:30 on 28 March 2027."""
    times = RouteTimes({"night": RouteTiming(window=TimeWindow.of("02:30-05:00"))}, ZoneInfo("Europe/Berlin"))
    before = int(datetime(2027, 3, 28, 0, 59, tzinfo=UTC).timestamp() * 1e6)
    opens = times.opens_us(route(), before)
    assert datetime.fromtimestamp(opens / 1e6, ZoneInfo("Europe/Berlin")).strftime("%H:%M") == "03:30"
    assert times.opens_us(route(), opens) == 0


@pytest.mark.parametrize(
    "requested_route",
    [
        route(by="Jane"),
        route("another rule"),
        route("", kind="move"),
        route(kind="availability"),
        route(kind="availability change"),
        route(kind="step"),
    ],
    ids=["asked for by a person", "of a rule without one", "left by a C-MOVE", "a notification", "a change", "a step"],
)
def test_only_objects_of_the_rule_wait_for_its_window(requested_route: RouteRequested) -> None:
    times = RouteTimes({"night": RouteTiming(window=TimeWindow.of("19:00-06:00"))}, UTC)
    assert times.opens_us(requested_route, int(at("12:00").timestamp() * 1e6)) == 0
    assert times.opens_us(route(), int(at("12:00").timestamp() * 1e6)) > 0


def test_priors_wait_for_the_window_of_their_rule_too() -> None:
    times = RouteTimes({"night": RouteTiming(window=TimeWindow.of("19:00-06:00"))}, UTC)
    assert times.opens_us(route(kind="prefetch"), int(at("12:00").timestamp() * 1e6)) > 0


def test_the_most_urgent_goes_first_and_then_what_was_tried_longest_ago() -> None:
    times = RouteTimes({"stroke": RouteTiming(RoutePriority.HIGH), "research": RouteTiming(RoutePriority.LOW)}, UTC)
    ready = [(route("research"), 0), (route("plain"), 5), (route("plain"), 3), (route("stroke"), 9)]
    assert times.first(ready) == 3
    assert times.first(ready[:3]) == 2
    assert times.first([*ready, (route("research", by="Jane"), 1)]) == 4
    assert times.first(ready[:1]) == 0


def test_words_and_codes_are_those_of_the_standard() -> None:
    """PS3.7 9.3.1.1: LOW 0002H, MEDIUM 0000H, HIGH 0001H."""
    assert {priority.word: priority.code for priority in RoutePriority} == {"high": 1, "medium": 0, "low": 2}
