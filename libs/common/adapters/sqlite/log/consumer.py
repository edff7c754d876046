"""One member of a consumer group of the embedded log."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from gantry.common.adapters.sqlite.database import Readers, Writer, translating
from gantry.common.adapters.sqlite.log.membership import Membership
from gantry.common.adapters.sqlite.log.notify import WakePipe
from gantry.common.adapters.sqlite.log.records import commit, committed, join, read_after
from gantry.common.ports.log import Record

DEPENDENCY = "event log"


class SqliteConsumer:
    """`gantry.common.ports.log.Consumer`. One member of a group consumes, across all processes; the others wait."""

    def __init__(
        self, writer: Writer, readers: Readers, group: str, topics: tuple[str, ...], lock: Path, bells: Path
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._group = group
        self._topics = topics
        self._lock = lock
        self._bells = bells
        self._membership: Membership | None = None
        self._bell: WakePipe | None = None
        self._offsets: dict[str, int] | None = None

    async def __aenter__(self) -> SqliteConsumer:
        def join_all(connection: sqlite3.Connection) -> None:
            for topic in self._topics:
                join(connection, self._group, topic)

        # Known from now on, also while another member is the active one: retention waits for this group.
        await self._writer.run(join_all)
        with translating(DEPENDENCY):
            self._membership = Membership(self._lock)
            self._bell = WakePipe(self._bells, self._topics)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._bell is not None:
            self._bell.close()
            self._bell = None
        if self._membership is not None:
            self._membership.leave()
            self._membership = None

    async def poll(self, max_records: int = 500) -> list[Record]:
        bell, offsets = await self._take_place()
        while True:
            bell.silence()
            records = await self._readers.run(lambda connection: self._next(connection, offsets, max_records))
            if records:
                for record in records:
                    offsets[record.topic] = record.offset
                return records
            await bell.rung()
            if self._bell is not bell:
                raise RuntimeError("this member has left its group")

    async def commit(self, records: Sequence[Record]) -> None:
        done: dict[str, int] = {}
        for record in records:
            done[record.topic] = max(record.offset, done.get(record.topic, 0))

        def commit_all(connection: sqlite3.Connection) -> None:
            for topic, offset in done.items():
                commit(connection, self._group, topic, offset)

        if self._membership is None or not self._membership.held:
            raise RuntimeError("only the active member of a group commits")
        if done:
            await self._writer.run(commit_all)

    async def _take_place(self) -> tuple[WakePipe, dict[str, int]]:
        """Wait until this member is the active one; then continue at the group's offsets."""
        if self._membership is None or self._bell is None:
            raise RuntimeError("a consumer is used inside `async with`")
        if self._offsets is None:
            await self._membership.acquire()
            known = await self._readers.run(lambda connection: committed(connection, self._group))
            self._offsets = {topic: known[topic] for topic in self._topics}
        return self._bell, self._offsets

    def _next(self, connection: sqlite3.Connection, offsets: dict[str, int], limit: int) -> list[Record]:
        """The records after those already returned: a share from each topic, so that a long topic does not delay the
        others; unused shares go to topics with more. So a poll is short only if all topics are."""
        records: list[Record] = []
        longer: dict[str, int] = {}
        for n, topic in enumerate(self._topics):
            share = max(1, (limit - len(records)) // (len(self._topics) - n))
            if len(records) < limit:
                batch = read_after(connection, topic, offsets[topic], sys.maxsize, share)
                records += batch
                if len(batch) == share:
                    longer[topic] = batch[-1].offset
        for topic, offset in longer.items():
            if len(records) < limit:
                records += read_after(connection, topic, offset, sys.maxsize, limit - len(records))
        return records
