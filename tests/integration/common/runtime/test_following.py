"""Waiting for a consumer group, and what it has not read yet, on the embedded log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import SqliteLog, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.events import INDEXED
from gantry.common.runtime.following import has_followed, unfollowed
from tests.support.facts import stored
from tests.support.following import indexed

STUDY = "1.2.3"


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    opened = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    yield opened
    await opened.close()


async def follow(log: SqliteLog) -> None:
    async with log.consumer("indexer", list(INDEXED)) as consumer:
        while not await indexed(log):
            await consumer.commit(await consumer.poll(100))


async def test_a_group_that_follows_is_waited_for_and_one_that_does_not_is_not_waited_for_long(log: SqliteLog) -> None:
    await log.append(stored(1, STUDY))
    assert not await has_followed(log, SystemClock(), 0.05)
    waiting = asyncio.create_task(has_followed(log, SystemClock(), 20.0))
    await follow(log)
    assert await waiting
    # What is appended after the call is not waited for.
    assert await has_followed(log, SystemClock(), 0.0)
    await log.append(stored(2, STUDY))
    assert not await has_followed(log, SystemClock(), 0.0)


async def test_what_is_not_followed_is_folded_by_study_and_partition(log: SqliteLog) -> None:
    first, second = stored(1, STUDY), stored(2, STUDY)
    await log.append(first, stored(3, "1.9"))
    await follow(log)
    await log.append(second)
    assert set((await unfollowed(log, "default", STUDY)).receipts) == {second.receipt}
    assert (await unfollowed(log, "default", "1.9")).receipts == {}
    assert (await unfollowed(log, "elsewhere", STUDY)).receipts == {}
