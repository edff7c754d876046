"""`gantry.common.telemetry.rate_limited`: the first of a kind at once, then how many."""

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.telemetry.rate_limited import RateLimited

KIND = ("CT1", "C000")


def test_first_is_said_at_once_and_the_next_with_how_many_came_meanwhile() -> None:
    seldom = RateLimited(every=60)
    assert [seldom.times(KIND, now) for now in (0, 1, 2, 59)] == [1, 0, 0, 0]
    assert seldom.times(KIND, 60) == 4
    assert seldom.times(("CT2", "C000"), 60) == 1
    assert seldom.times(KIND, 61) == 0
    assert seldom.take_unlogged("CT1", 62) == [(KIND, 1)]
    assert seldom.take_unlogged("CT1", 63) == []


@given(st.lists(st.floats(0, 1000), max_size=50).map(sorted))
def test_every_one_is_counted_once(moments: list[float]) -> None:
    seldom = RateLimited(every=60)
    count = sum(seldom.times(KIND, now) for now in moments)
    assert count + sum(times for _, times in seldom.take_unlogged("CT1", 2000)) == len(moments)


def test_kinds_are_bounded() -> None:
    seldom = RateLimited()
    for n in range(5000):
        assert seldom.times((f"STRANGER{n}", "1/1/3"), 0) == 1
    assert len(seldom._kinds) <= 1000
