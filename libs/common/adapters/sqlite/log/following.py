"""Watching what a consumer group commits to the embedded log."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

from gantry.common.adapters.sqlite.database import Readers, translating
from gantry.common.adapters.sqlite.log.notify import WakePipe
from gantry.common.adapters.sqlite.log.records import committed_of, last_offset, read_after
from gantry.common.clock import SystemClock
from gantry.common.ports.log import Passed, Record

_TIME = SystemClock()
_AT_ONCE = 500
_LOOK_AGAIN_SECONDS = 0.1
"""Polling interval while the group is behind; otherwise an append wakes the reader."""


async def follow(
    readers: Readers, bells: Path, topic: str, group: str | None, after: Mapping[int, int] | None, dependency: str
) -> AsyncGenerator[Passed, None]:
    """See `EventLog.follow`. There is one partition, 0."""
    with translating(dependency):
        bell = WakePipe(bells, (topic,))
    try:
        done, _, _ = await readers.run(lambda connection: _next(connection, topic, group, 0, 0))
        following = (after or {}).get(0, done + 1)
        yield Passed((), {0: following})
        while True:
            bell.silence()
            begin = following
            done, last, records = await readers.run(
                lambda connection, begin=begin: _next(connection, topic, group, begin - 1, _AT_ONCE)  # type: ignore[misc]
            )
            if records or done + 1 > following:  # without records where retention has removed them
                following = records[-1].offset + 1 if records else done + 1
                yield Passed(records, {0: following})
            elif last > done:
                await _TIME.sleep(_LOOK_AGAIN_SECONDS)
            else:
                await bell.rung()
    finally:
        bell.close()


def _next(
    connection: sqlite3.Connection, topic: str, group: str | None, after: int, limit: int
) -> tuple[int, int, list[Record]]:
    """The last offset that the group has committed (or the last one without a group), the last one of the topic, and
    records between."""
    last = last_offset(connection, topic)
    done = last if group is None else committed_of(connection, group, topic) or 0
    records = read_after(connection, topic, after, done, limit) if limit else []
    return done, last, records
