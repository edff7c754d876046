"""Promise 1 for the embedded log: what was acknowledged is there after `kill -9`, appends and commits alike."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.events import InstanceStored, decode
from tests.crash.survivors import acknowledged_before_a_kill


@pytest.mark.parametrize("seed", range(4))
async def test_acknowledged_events_and_commits_survive_a_kill(tmp_path: Path, seed: int) -> None:
    lines: list[str] = []
    for n in range(2):
        seconds = random.Random(seed * 10 + n).uniform(0.0, 0.4)
        lines += acknowledged_before_a_kill("tests.crash.log_child", tmp_path, seconds)
    appended = {int(line) for line in lines if line.isdigit()}
    committed = max((int(line.split()[1]) for line in lines if line.startswith("committed")), default=0)
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    events = [decode(record.payload) async for record in log.replay("instances")]
    numbers = [int(event.receipt, 16) for event in events if isinstance(event, InstanceStored)]
    assert appended <= set(numbers)
    assert len(numbers) == len(set(numbers))
    assert len(numbers) - (await log.lag("g"))["instances"] >= committed
    await log.close()
