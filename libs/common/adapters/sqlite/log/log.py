"""`gantry.common.ports.log.EventLog` in one SQLite file.

Each topic is a table of its own with one partition (0), so that appending goes to the end of a B-tree and retention
removes a range at its beginning. AUTOINCREMENT keeps offsets from being used again after that.

    FILE             records_<topic>(offset, key, appended_at, payload), groups(name, topic, committed)
    FILE.groups/     a lock file per consumer group (`membership`)
    FILE.wake/       a named pipe per waiting consumer (`notify`)
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path

from gantry.common.adapters.sqlite.database import Readers, Writer, translating
from gantry.common.adapters.sqlite.log.consumer import SqliteConsumer
from gantry.common.adapters.sqlite.log.following import follow
from gantry.common.adapters.sqlite.log.notify import WakePipes
from gantry.common.adapters.sqlite.log.records import (
    committed_of,
    insert,
    last_before,
    last_offset,
    last_up_to,
    make_tables,
    of_key_after,
    read_after,
    remove_before,
    require_topic,
)
from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import TOPICS, Event, encode, topic_of
from gantry.common.ports.log import Passed, Record
from gantry.common.tasks import end_tasks

DEPENDENCY = "event log"
_PAGE = 500
_RETENTION_EVERY_SECONDS = 60.0
_REMOVED_AT_ONCE = 5000


class SqliteLog:
    """The embedded event log. Made by `open_sqlite_log`."""

    def __init__(self, path: Path, clock: Clock, deadline: float) -> None:
        """Opens or creates the file (blocks). Calls that do not complete within `deadline` seconds are abandoned."""
        self._path = path
        self._clock = clock
        self._rung: set[str] = set()
        self._groups = Path(f"{path}.groups")
        self._bells = Path(f"{path}.wake")
        with translating(DEPENDENCY):
            path.parent.mkdir(0o750, parents=True, exist_ok=True)
            self._groups.mkdir(0o750, exist_ok=True)
            self._bells.mkdir(0o750, exist_ok=True)
        self._ringer = WakePipes(self._bells, clock)
        self._writer = Writer(path, DEPENDENCY, deadline, self._ring, often=True)
        self._readers = Readers(path, DEPENDENCY)
        self._cleaning: asyncio.Task[None] | None = None

    async def append(self, *events: Event) -> None:
        def put(connection: sqlite3.Connection) -> None:
            # Encoded here, in the writer's thread: an event may name a hundred thousand instances.
            now = self._clock.now_us()
            for event in events:
                topic, key = topic_of(event)
                insert(connection, topic.name, key, now, encode(event))
                self._rung.add(topic.name)

        await self._writer.run(put)

    def consumer(self, group: str, topics: Sequence[str]) -> SqliteConsumer:
        if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", group) is None:
            raise ValueError(f"not a group name: {group!r}")
        for topic in topics:
            require_topic(topic)
        return SqliteConsumer(self._writer, self._readers, group, tuple(topics), self._groups / group, self._bells)

    async def replay(self, topic: str, since_us: int = 0) -> AsyncIterator[Record]:
        require_topic(topic)
        end = await self._readers.run(lambda connection: last_offset(connection, topic))
        after = await self._readers.run(partial(last_before, topic=topic, since_us=since_us)) if since_us else 0
        while after < end:
            page = await self._readers.run(partial(read_after, topic=topic, after=after, end=end, limit=_PAGE))
            if not page:
                return
            for record in page:
                if record.appended_at >= since_us:
                    yield record
            after = page[-1].offset

    async def lag(self, group: str) -> dict[str, int]:
        def behind(connection: sqlite3.Connection) -> dict[str, int]:
            joined = connection.execute("SELECT topic, committed FROM groups WHERE name = ?", (group,)).fetchall()
            return {topic: max(0, last_offset(connection, topic) - committed) for topic, committed in joined}

        return await self._readers.run(behind)

    async def ends(self, topic: str) -> dict[int, int]:
        require_topic(topic)
        return {0: await self._readers.run(lambda connection: last_offset(connection, topic)) + 1}

    async def has_passed(self, group: str, topic: str, ends: Mapping[int, int]) -> bool:
        require_topic(topic)
        done = await self._readers.run(lambda connection: committed_of(connection, group, topic))
        return done is not None and all(done + 1 >= end for end in ends.values())

    async def uncommitted(self, group: str, topic: str, key: str, most: int = 5000) -> list[Record]:
        require_topic(topic)

        def read(connection: sqlite3.Connection) -> list[Record] | None:
            return of_key_after(connection, topic, key, committed_of(connection, group, topic) or 0, most)

        records = await self._readers.run(read)
        if records is None:
            raise DependencyUnavailable(DEPENDENCY, f"{group} has too much of one key before it")
        return records

    async def last_committed(self, group: str, topic: str, most: int = 20) -> list[Record]:
        require_topic(topic)

        def read(connection: sqlite3.Connection) -> list[Record]:
            done = committed_of(connection, group, topic)
            return [] if done is None else last_up_to(connection, topic, done, most)

        return await self._readers.run(read)

    async def follow(
        self, topic: str, group: str | None, after: Mapping[int, int] | None = None
    ) -> AsyncGenerator[Passed, None]:
        require_topic(topic)
        async with aclosing(follow(self._readers, self._bells, topic, group, after, DEPENDENCY)) as following:
            async for passed in following:
                yield passed

    async def check(self) -> None:
        def touch(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO checks(id, at) VALUES(1, ?)", (self._clock.now_us(),))

        await self._writer.run(touch)

    async def close(self) -> None:
        await end_tasks(self._cleaning)
        self._cleaning = None
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._writer.close)
        await loop.run_in_executor(None, self._readers.close)
        self._ringer.close()

    async def remove_expired(self) -> int:
        """Remove records older than their topic's retention and committed by every group that ever joined the topic.
        Returns how many were removed. Called every minute; some at a time, so that appends never wait for it."""
        removed = 0
        for topic, retention_ms in {topic.name: topic.retention_ms for topic in TOPICS.values()}.items():
            if retention_ms is None:
                continue
            before = self._clock.now_us() - retention_ms * 1000
            while True:
                work = partial(remove_before, topic=topic, before=before, limit=_REMOVED_AT_ONCE)
                count = await self._writer.run(work)
                removed += count
                if count < _REMOVED_AT_ONCE:
                    break
        return removed

    async def start(self) -> None:
        """Create the tables and begin to remove expired records."""
        await self._writer.run(make_tables)
        self._cleaning = asyncio.create_task(self._clean())

    async def _clean(self) -> None:
        while True:
            await self._clock.sleep(_RETENTION_EVERY_SECONDS)
            try:
                await self.remove_expired()
            except DependencyUnavailable:
                continue  # the next append reports it to a caller that can act on it

    def _ring(self) -> None:
        if self._rung:
            self._ringer.ring(self._rung)
            self._rung.clear()


async def open_sqlite_log(path: Path, clock: Clock, *, deadline: float = 10.0) -> SqliteLog:
    """Open the log in the file `path`, creating it if it is missing."""
    log = await asyncio.get_running_loop().run_in_executor(None, SqliteLog, path, clock, deadline)
    try:
        await log.start()
    except BaseException:
        await log.close()
        raise
    return log
