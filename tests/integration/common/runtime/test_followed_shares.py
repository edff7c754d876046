"""Links that one process makes and opens, as another one knows them that hears of each a moment later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gantry.common.access.share_passes import SharePass
from gantry.common.access.shares import digest_of
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.events import ShareCreated, ShareOpened, ShareRevoked
from gantry.common.ports.log import EventLog, Passed
from gantry.common.runtime.followed_shares import NEWS_SECONDS, FollowedShares
from gantry.common.tasks import end_tasks

DAY_US = 24 * 3600 * 1_000_000
PASS = SharePass("s1", "o1", float("inf"))


class Late:
    """The log of a process that hears of each event half a second late."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def follow(self, *arguments: Any) -> AsyncGenerator[Passed, None]:
        async with aclosing(self._log.follow(*arguments)) as following:
            async for passed in following:
                await asyncio.sleep(0.5 if passed.records else 0)
                yield passed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


@dataclass
class Two:
    here: FollowedShares
    there: FollowedShares
    now: int


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    clock = SystemClock()
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    late: Any = Late(log)
    first, second = FollowedShares(log, clock), FollowedShares(late, clock)
    following = [asyncio.create_task(follower.run()) for follower in (first, second)]
    try:
        await second.latest()
        yield Two(first, second, clock.now_us())
    finally:
        await end_tasks(*following)
        await log.close()


def made(now: int) -> ShareCreated:
    return ShareCreated(
        "default", "", "s1", digest_of("token"), ("1.2",), now + DAY_US, 2, "", False, "why", "ris", now
    )


async def test_whom_another_process_let_in_just_now_is_not_told_that_it_is_over(two: Two) -> None:
    await two.here.tell(made(two.now), ShareOpened("default", "", "s1", "o1", "", two.now))
    assert await two.there.standing(PASS) is not None
    await two.here.tell(ShareRevoked("default", "", "s1", "", "ris", two.now + 1))
    assert await two.here.standing(PASS) is None


async def test_an_opening_that_nobody_was_let_in_by_is_over_at_once(two: Two) -> None:
    await two.here.tell(made(two.now))
    assert await two.there.standing(PASS) is None


async def test_a_link_that_another_process_made_just_now_is_there(two: Two) -> None:
    await two.here.tell(made(two.now))
    assert (await two.there.current()).of_token("token") is None, "it has not heard of it"
    await asyncio.sleep(NEWS_SECONDS)
    assert (await two.there.current(NEWS_SECONDS)).of_token("token") is not None
