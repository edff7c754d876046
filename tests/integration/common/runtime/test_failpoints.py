"""Fail points act as the environment says, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.failpoints import FailPoint, parse

PROGRAM = """
import asyncio
from gantry.common.runtime.failpoints import FailPoint, reach
async def main():
    for n in range(3):
        print(n, flush=True)
        await reach(FailPoint.BEFORE_ANSWER)
asyncio.run(main())
"""


def run(failpoints: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GANTRY_FAILPOINTS": failpoints}
    root = Path(__file__).parents[4]
    return subprocess.run([sys.executable, "-c", PROGRAM], env=environment, cwd=root, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("failpoints", "printed", "code"),
    [
        ("", "0\n1\n2\n", 0),
        ("after-blob-put=kill", "0\n1\n2\n", 0),
        ("before-answer=kill", "0\n", -9),
        ("before-answer=kill@2", "0\n1\n", -9),
        ("before-answer=raise", "0\n", 1),
        ("after-blob-put=kill, before-answer=refuse@3", "0\n1\n2\n", 1),
        ("nonsense=kill", "", 1),
        ("before-answer=explode", "", 1),
    ],
)
def test_process_does_what_its_fail_points_say(failpoints: str, printed: str, code: int) -> None:
    done = run(failpoints)
    assert (done.stdout, done.returncode) == (printed, code)


def test_fail_point_stalls() -> None:
    start = time.monotonic()
    assert run("before-answer=sleep:0.7@1").returncode == 0
    assert time.monotonic() - start > 0.7


def test_actions_are_read_with_their_arguments() -> None:
    actions = parse("before-commit=sleep:2.5@4")
    assert (actions[FailPoint.BEFORE_COMMIT].seconds, actions[FailPoint.BEFORE_COMMIT].at) == (2.5, 4)


def test_delays_grow_to_a_cap_and_differ() -> None:
    delays = Delays(first=1.0, longest=60.0)
    for attempt, whole in enumerate([1, 2, 4, 8, 16, 32, 60, 60]):
        drawn = {delays.after(attempt) for _ in range(50)}
        assert len(drawn) > 1
        assert all(whole / 2 <= delay <= whole for delay in drawn)
    assert delays.after(100_000) <= 60
