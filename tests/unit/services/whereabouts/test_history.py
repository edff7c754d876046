"""Only some time around what happened is read of the segments."""

from __future__ import annotations

from gantry.services.whereabouts.history import windows

HOUR = 3_600_000


def test_moments_that_are_close_share_a_window_and_others_do_not() -> None:
    assert windows([10 * HOUR, 10 * HOUR + 60_000, 20 * HOUR]) == [
        (10 * HOUR - 1, 10 * HOUR + 60_000 + HOUR // 2),
        (20 * HOUR - 1, 20 * HOUR + HOUR // 2),
    ]


def test_no_moments_are_no_windows() -> None:
    assert windows([]) == []


def test_each_moment_is_in_its_window_in_whatever_order_they_come() -> None:
    moments = [n * 7_000_000 % (30 * HOUR) for n in range(1, 50)]
    assert all(any(begin < moment < end for begin, end in windows(moments)) for moment in moments)
    assert windows(moments) == windows(sorted(moments, reverse=True))
