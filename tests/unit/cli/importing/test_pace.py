"""How fast, and at what hours."""

from __future__ import annotations

import asyncio

import pytest

from gantry.cli.importing.pace import Hours, TransferPace, hours, rate
from gantry.common.clock import ManualClock


@pytest.mark.parametrize(
    ("text", "minute", "left_out"),
    [
        ("19:00-06:30", 19 * 60, 0),
        ("19:00-06:30", 23 * 60, 0),
        ("19:00-06:30", 6 * 60 + 29, 0),
        ("19:00-06:30", 6 * 60 + 30, 12 * 60 + 30),
        ("19:00-06:30", 18 * 60 + 59, 1),
        ("8:00-9:00", 9 * 60, 23 * 60),
        ("00:00-00:00", 700, 0),
    ],
)
def test_hours_may_pass_midnight(text: str, minute: int, left_out: int) -> None:
    assert hours(text).left_out(minute) == left_out


@pytest.mark.parametrize(("text", "expected"), [("500", 500), ("500K", 5e5), ("20M", 2e7), ("1.5GB/s", 1.5e9)])
def test_a_rate_is_bytes_per_second(text: str, expected: float) -> None:
    assert rate(text) == expected


@pytest.mark.parametrize("text", ["", "0", "fast", "20X", "-5M"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a rate"):
        rate(text)


@pytest.mark.parametrize("text", ["", "7-8", "25:00-06:00", "19:00"])
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not hours"):
        hours(text)


async def test_what_has_passed_is_waited_for() -> None:
    clock = ManualClock()
    pace = TransferPace(clock, 100.0)
    pace.passed(250)
    waiting = asyncio.create_task(pace.begin())
    await asyncio.sleep(0)
    clock.advance(2.4)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.2)
    await asyncio.wait_for(waiting, 1)


def test_without_hours_nobody_waits_for_them() -> None:
    assert TransferPace(ManualClock()).wait() == 0
    assert Hours(0, 0).left_out(5) == 0
