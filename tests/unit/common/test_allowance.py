"""`gantry.common.allowance`: an average holds over any time, and a burst is let through."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.allowance import Allowance, Allowances


def test_some_seconds_worth_goes_through_at_once_and_then_as_much_as_the_rate() -> None:
    allowance = Allowance(2.0, 5.0, now=100.0)
    assert [allowance.ask(1.0, 100.0) for _ in range(10)] == [0.0] * 10
    assert allowance.ask(1.0, 100.0) == 0.5
    assert allowance.ask(1.0, 100.5) == 0.0
    assert allowance.ask(1.0, 100.5) == 0.5
    # What is not used is not kept for ever.
    assert [allowance.ask(1.0, 900.0) for _ in range(11)] == [0.0] * 10 + [0.5]


def test_what_is_taken_beyond_it_is_owed() -> None:
    allowance = Allowance(100.0, 1.0, now=0.0)
    assert allowance.take(100.0, 0.0) == 0.0
    assert allowance.take(50.0, 0.0) == 0.5
    assert allowance.take(0.0, 0.25) == 0.25
    assert allowance.take(0.0, 0.5) == 0.0


def test_a_rate_of_less_than_one_lets_one_through() -> None:
    allowance = Allowance(0.1, 1.0, now=0.0)
    assert allowance.ask(1.0, 0.0) == 0.0
    assert round(allowance.ask(1.0, 0.0), 6) == 10.0


@given(
    st.floats(0.1, 1000.0),
    st.floats(0.1, 10.0),
    st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60),
)
def test_whoever_waits_as_long_as_told_never_gets_more_than_the_average(
    rate: float, at_once: float, pauses: list[float]
) -> None:
    allowance, now, got = Allowance(rate, at_once, 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        wait = allowance.ask(1.0, now)
        if wait:
            now += wait * 1.000001
            assert allowance.ask(1.0, now) == 0.0
        got += 1
        assert got <= max(1.0, rate * at_once) + rate * now * 1.0001 + 0.001


def test_each_name_has_its_own_and_only_so_many_are_known() -> None:
    all_of_them = Allowances(1.0, most_names=2)
    assert all_of_them.ask("a", 1.0, 0.0) == 0.0
    assert all_of_them.ask("b", 1.0, 0.0) == 0.0
    assert all_of_them.ask("a", 1.0, 0.0) == 1.0
    assert all_of_them.ask("c", 1.0, 0.0) == 0.0  # b was seen longest ago
    assert all_of_them.ask("a", 1.0, 0.0) == 1.0
    assert all_of_them.ask("b", 1.0, 0.0) == 0.0
