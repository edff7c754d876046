"""Waking consumers: who joins is rung from then on, whatever the folder looked like before."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from gantry.common.adapters.sqlite.log.notify import WakePipe, WakePipes
from gantry.common.clock import SystemClock

LONG_AGO = 1_000_000_000


async def is_rung(bell: WakePipe) -> bool:
    """Within half of the second after which a consumer looks by itself."""
    try:
        await asyncio.wait_for(bell.rung(), 0.5)
    except TimeoutError:
        return False
    return True


async def test_a_consumer_that_joins_a_folder_that_was_listed_long_ago_is_rung(tmp_path: Path) -> None:
    ringer = WakePipes(tmp_path, SystemClock())
    os.utime(tmp_path, (LONG_AGO, LONG_AGO))
    ringer.ring({"instances"})
    bell = WakePipe(tmp_path, ["instances"])
    ringer.ring({"instances"})
    assert await is_rung(bell)
    bell.close()
    ringer.close()


async def test_a_consumer_that_joins_in_the_same_moment_as_a_listing_is_rung(tmp_path: Path) -> None:
    ringer = WakePipes(tmp_path, SystemClock())
    ringer.ring({"instances"})
    same = os.stat(tmp_path).st_mtime_ns
    bell = WakePipe(tmp_path, ["instances"])
    os.utime(tmp_path, ns=(same, same))  # as a coarse clock of a file system tells it
    ringer.ring({"instances"})
    assert await is_rung(bell)
    bell.close()
    ringer.close()


async def test_nobody_is_rung_for_other_topics(tmp_path: Path) -> None:
    ringer = WakePipes(tmp_path, SystemClock())
    bell = WakePipe(tmp_path, ["instances"])
    ringer.ring({"commitments"})
    assert not await is_rung(bell)
    bell.close()
    ringer.close()


async def test_a_pipe_whose_reader_died_is_removed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "instances.dead")
    os.utime(tmp_path, (LONG_AGO, LONG_AGO))
    ringer = WakePipes(tmp_path, SystemClock())
    ringer.ring({"instances"})
    assert not (tmp_path / "instances.dead").exists()
    ringer.close()
