"""How long to wait before trying again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.runtime.backoff import Delays


@given(st.floats(0.001, 10), st.floats(0.001, 1000), st.integers(0, 10_000))
def test_a_wait_is_between_half_and_all_of_what_has_doubled_up_to_the_cap(
    first: float, longest: float, attempt: int
) -> None:
    whole = min(longest, first * 2 ** min(attempt, 60))
    wait = Delays(first, longest).after(attempt)
    assert whole / 2 <= wait <= whole


def test_months_of_attempts_do_not_overflow() -> None:
    assert Delays().after(10**9) <= 30.0


def test_of_many_waits_none_is_below_half_or_above_all() -> None:
    waits = [Delays(1.0, 8.0).after(2) for _ in range(1000)]
    assert 2.0 <= min(waits) < 2.2
    assert 3.8 < max(waits) <= 4.0


def test_those_who_wait_do_not_all_come_back_at_once() -> None:
    assert len({Delays().after(3) for _ in range(50)}) > 40


@pytest.mark.parametrize("attempt", range(8))
def test_each_wait_may_be_longer_than_the_one_before_until_the_cap(attempt: int) -> None:
    delays = Delays(0.1, 30.0)
    assert max(delays.after(attempt) for _ in range(200)) < max(delays.after(attempt + 1) for _ in range(200))
