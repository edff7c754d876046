"""The whole change feed, in pages: first sealed events from the bucket, then those on the log.

Every change is returned at least once, and those of one study in the order of the log. A reader begins at the
archivers' position: everything before that is in segments, which are returned first. A cursor older than the log's
retention goes back to the segments; changes returned before may then be repeated, under the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from gantry.common.clock import Clock
from gantry.common.errors import UndecodableEvent
from gantry.common.events import (
    ARCHIVERS,
    TOPICS,
    CommitmentReported,
    InstanceConflictFound,
    InstanceStored,
    OrderPlaced,
    PatientMerged,
    ProcedureStepCreated,
    WorkitemCreated,
    decode,
)
from gantry.common.events.changes import Json, change_of
from gantry.common.ids import DEFAULT_PARTITION, receipt_in_key
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.runtime.feed_cursor import FeedCursor, SealedPlace
from gantry.common.runtime.restored_log import RestoredLog
from gantry.common.runtime.sealed_events import segments

FEED_TOPICS = tuple(
    TOPICS[cls].name
    for cls in (
        InstanceStored,
        PatientMerged,
        InstanceConflictFound,
        CommitmentReported,
        OrderPlaced,
        ProcedureStepCreated,
        WorkitemCreated,
    )
)
MOST_CHANGES = 1000
"""Most changes in one page."""
_MOST_READ = 20_000
"""Most records that are read for one page, however few of them are changes."""
_SKEW_MS = 3600 * 1000
"""How far the clocks of machines may differ, and how late a segment may become visible."""
_REMEMBERED_MS = 6 * 24 * 3600 * 1000
"""The log retains events of instances a day longer than this."""


@dataclass(slots=True)
class FeedPage:
    """Changes, where to continue, and whether there is more already."""

    cursor: FeedCursor
    changes: list[Json] = field(default_factory=list)
    more: bool = True
    read: int = 0

    def take(self, payload: bytes) -> None:
        """Add a record. An unreadable one is skipped: it is among the dead letters."""
        self.read += 1
        try:
            event = decode(payload)
        except UndecodableEvent:
            return
        change = change_of(event, payload) if event.partition == DEFAULT_PARTITION else None
        if change is not None:
            self.changes.append(change)

    def is_full(self, limit: int) -> bool:
        """Whether the page is complete."""
        return len(self.changes) >= limit or self.read >= _MOST_READ


class Feed:
    """Reads the feed from a cursor."""

    def __init__(self, objects: BlobStore, log: EventLog, clock: Clock) -> None:
        self._objects = objects
        self._log = log
        self._clock = clock
        self._restored = RestoredLog(objects, clock)

    async def beginning(self, since_ms: int = 0) -> FeedCursor:
        """The cursor before everything, or before what was sealed since a time."""
        now = self._now_ms()
        offsets: dict[str, Mapping[int, int]] = {}
        for topic in FEED_TOPICS:
            # First the archivers' position, then the list of segments: everything before that position is in them.
            async with aclosing(self._log.follow(topic, ARCHIVERS)) as following:
                async for passed in following:
                    offsets[topic] = dict(passed.ends)
                    break
        return FeedCursor(now, offsets, SealedPlace(max(0, since_ms), now + _SKEW_MS))

    async def now(self) -> FeedCursor:
        """The cursor after everything that exists now."""
        return FeedCursor(self._now_ms(), {topic: await self._log.ends(topic) for topic in FEED_TOPICS})

    async def page(self, cursor: FeedCursor, limit: int = MOST_CHANGES) -> FeedPage:
        """The page after a cursor, with at most `limit` changes. Raises `DependencyUnavailable`, `Corrupt` for a
        damaged segment."""
        if cursor.sealed is None and await self._is_forgotten(cursor):
            cursor = await self.beginning(cursor.read_ms - _SKEW_MS)
        elif cursor.sealed is not None and cursor.read_ms < await self._restored.last_ms():
            # Positions in sealed segments stay valid; those on the log belong to another log.
            anew = await self.beginning(cursor.sealed.since_ms)
            until_ms = max(cursor.sealed.until_ms, self._now_ms() + _SKEW_MS)
            cursor = replace(anew, sealed=replace(cursor.sealed, until_ms=until_ms))
        page = FeedPage(cursor)
        if cursor.sealed is not None:
            await self._sealed(page, cursor.sealed, limit)
        if page.cursor.sealed is None and not page.is_full(limit):
            await self._logged(page, limit)
        return page

    async def has_news(self, cursor: FeedCursor) -> bool:
        """Whether there are changes after a cursor. Raises `DependencyUnavailable`."""
        if cursor.sealed is not None:
            return True
        for topic in FEED_TOPICS:
            known = cursor.offsets.get(topic, {})
            if any(known.get(partition, 0) < end for partition, end in (await self._log.ends(topic)).items()):
                return True
        return False

    async def _is_forgotten(self, cursor: FeedCursor) -> bool:
        """Whether the log may have removed what comes next, or is not the log of the cursor."""
        if cursor.read_ms < max(self._now_ms() - _REMEMBERED_MS, await self._restored.last_ms()):
            return True
        for topic in FEED_TOPICS:
            ends = await self._log.ends(topic)
            if any(offset > ends.get(partition, 0) for partition, offset in cursor.offsets.get(topic, {}).items()):
                return True
        return False

    async def _sealed(self, page: FeedPage, place: SealedPlace, limit: int) -> None:
        begin_ms = int(place.segment[:12], 16) if place.segment else place.since_ms
        async for segment in segments(self._objects, DEFAULT_PARTITION, begin_ms, place.until_ms):
            receipt = receipt_in_key(segment.key)
            if receipt is None or receipt.id < place.segment or segment.sealed_at > place.until_ms:
                continue
            done = place.records if receipt.id == place.segment else 0
            for record in segment.records[done:]:
                if page.is_full(limit):
                    break
                page.take(record.payload)
                done += 1
            page.cursor = replace(page.cursor, sealed=replace(place, segment=receipt.id, records=done))
            if page.is_full(limit):
                return
        page.cursor = replace(page.cursor, sealed=None)

    async def _logged(self, page: FeedPage, limit: int) -> None:
        now = self._now_ms()
        for topic in FEED_TOPICS:
            ends = await self._log.ends(topic)
            known = page.cursor.offsets.get(topic, {})
            offsets = {partition: known.get(partition, 0) for partition in ends}
            await self._of_topic(page, topic, offsets, ends, limit)
            page.cursor = page.cursor.at(topic, offsets)
            if page.is_full(limit):
                return
        page.more = False
        page.cursor = replace(page.cursor, read_ms=now)

    async def _of_topic(
        self, page: FeedPage, topic: str, offsets: dict[int, int], ends: Mapping[int, int], limit: int
    ) -> None:
        """Take the records between `offsets`, which are advanced, and `ends`."""
        if all(offsets[partition] >= end for partition, end in ends.items()):
            return
        async with aclosing(self._log.follow(topic, None, dict(offsets))) as following:
            async for passed in following:
                for record in passed.records:
                    if page.is_full(limit):
                        return
                    page.take(record.payload)
                    offsets[record.partition] = record.offset + 1
                offsets.update(passed.ends)
                if page.is_full(limit) or all(offsets[partition] >= end for partition, end in ends.items()):
                    return

    def _now_ms(self) -> int:
        return self._clock.now_us() // 1000
