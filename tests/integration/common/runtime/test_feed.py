"""The change feed over a real log and a real bucket, with time in the test's hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import SqliteLog, open_sqlite_log
from gantry.common.clock import ManualClock
from gantry.common.events import DeadLetter, HoldPlaced, decode
from gantry.common.ports.blobs import BlobStore
from gantry.common.runtime.consumer import Delivery
from gantry.common.runtime.feed import Feed
from gantry.common.runtime.feed_cursor import FeedCursor, feed_cursor
from gantry.common.runtime.restored_log import RestoredLog
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance.sealing import GROUP, Archiver, topics
from tests.support.facts import conflict, reported, stored

DAY = 24 * 3600.0


@dataclass
class Site:
    objects: BlobStore
    log: SqliteLog
    clock: ManualClock

    @property
    def feed(self) -> Feed:
        return Feed(self.objects, self.log, self.clock)

    async def happen(self, *numbers: int) -> None:
        await self.log.append(*(stored(number, f"1.{number % 2}") for number in numbers))

    async def seal(self, most: int = 1000) -> None:
        """The archivers follow, in segments of `most` records."""
        async with self.log.consumer(GROUP, topics()) as consumer:
            while any((await self.log.lag(GROUP)).values()):
                records = await consumer.poll(most)
                batch = [Delivery(record, decode(record.payload)) for record in records]
                await Archiver(self.objects, self.clock, Metrics())(batch)
                await consumer.commit(records)
                self.clock.advance(1)

    async def read(self, cursor: FeedCursor | None = None, limit: int = 1000) -> tuple[list[str], FeedCursor]:
        """Everything behind a cursor, and the cursor after it; through text each time, as over HTTP."""
        at, numbers = cursor or await self.feed.beginning(), []
        while True:
            page = await self.feed.page(at, limit)
            assert len(page.changes) <= limit
            numbers += [str(change.get("SOPInstanceUID", change["type"])).rpartition(".")[2] for change in page.changes]
            again = feed_cursor(page.cursor.text)
            assert again is not None
            at = again
            if not page.more:
                return numbers, at


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    clock = ManualClock()
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    yield Site(objects, log, clock)
    await log.close()
    await objects.close()


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_from_the_beginning_everything_comes_in_order_sealed_or_not(site: Site, limit: int) -> None:
    await site.happen(1, 2, 3, 4)
    await site.seal(most=2)
    await site.happen(5, 6)
    await site.log.append(conflict(7), reported("2.25.1"), HoldPlaced("default", "", "1.2", "h", "r", "b", 1))
    numbers, cursor = await site.read(limit=limit)
    assert numbers == ["1", "2", "3", "4", "5", "6", "held", "7", "committed"]
    assert (await site.read(cursor, limit))[0] == []
    await site.happen(8)
    assert (await site.read(cursor, limit))[0] == ["8"]


async def test_what_the_log_has_forgotten_comes_from_the_bucket(site: Site) -> None:
    await site.happen(1, 2)
    await site.seal()
    site.clock.advance(8 * DAY)
    assert await site.log.remove_expired() == 2
    await site.happen(3)
    assert (await site.read())[0] == ["1", "2", "3"]


async def test_a_reader_that_slept_longer_than_the_log_remembers_misses_nothing(site: Site) -> None:
    await site.happen(1)
    await site.seal()
    _, cursor = await site.read()
    await site.happen(2, 3)
    await site.seal()
    site.clock.advance(8 * DAY)
    await site.log.remove_expired()
    await site.happen(4)
    numbers, _ = await site.read(cursor)
    # What lies within an hour of the cursor may come again.
    assert numbers[-3:] == ["2", "3", "4"]
    assert set(numbers) == {"1", "2", "3", "4"}


async def test_on_another_log_a_cursor_goes_back_to_the_bucket(site: Site, tmp_path: Path) -> None:
    await site.happen(*range(1, 6))
    await site.seal()
    _, cursor = await site.read()
    other = Site(site.objects, await open_sqlite_log(tmp_path / "other.db", site.clock), site.clock)
    await other.happen(9)
    numbers, _ = await other.read(cursor)
    assert numbers[-1] == "9"
    await other.log.close()


async def test_a_reader_amid_the_sealed_part_misses_nothing_of_a_log_that_was_restored_meanwhile(
    site: Site, tmp_path: Path
) -> None:
    await site.happen(*range(1, 9))
    await site.seal(most=2)
    page = await site.feed.page(await site.feed.beginning(), 3)
    assert page.cursor.sealed is not None  # in the middle of it; its offsets are those of this log
    site.clock.advance(60)
    other = Site(site.objects, await open_sqlite_log(tmp_path / "other.db", site.clock), site.clock)
    await RestoredLog(site.objects, site.clock).note()
    site.clock.advance(60)
    await other.happen(*range(10, 22))  # more than lay before the offsets
    numbers, cursor = await other.read(page.cursor)
    assert numbers == [str(number) for number in (*range(4, 9), *range(10, 22))]
    await other.happen(30)
    assert (await other.read(cursor))[0] == ["30"]
    await other.log.close()


async def test_dead_letters_and_other_organisations_are_not_told(site: Site) -> None:
    await site.log.append(DeadLetter("default", "", "g", "instances", 1, "r", 1, b"x"))
    await site.log.append(HoldPlaced("elsewhere", "", "1.2", "h", "r", "b", 1))
    assert (await site.read())[0] == []


async def test_now_is_behind_everything_and_news_are_noticed(site: Site) -> None:
    await site.happen(1)
    cursor = await site.feed.now()
    assert not await site.feed.has_news(cursor)
    await site.happen(2)
    assert await site.feed.has_news(cursor)
    assert (await site.read(cursor))[0] == ["2"]
