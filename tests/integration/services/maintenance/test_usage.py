"""Counting on real embedded stores: an interrupted pass continues, and unlimited names do not make the state grow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.clock import SystemClock
from gantry.common.errors import DependencyUnavailable
from gantry.common.ids import Receipt
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import SearchIndex
from gantry.common.runtime.quota.counts import newest_count
from gantry.common.runtime.quota.sums import StoredCount
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance.usage import OTHERS, Usage, UsageCounter
from tests.support.entries import entry


@dataclass
class Room:
    objects: BlobStore
    index: SearchIndex
    metrics: Metrics

    def counter(self) -> UsageCounter:
        return UsageCounter(self.objects, self.index, SystemClock(), self.metrics, "default", rate=0)

    async def keep(self, studies: int) -> None:
        entries = [entry(n, f"9.{n}", f"1.{n}", f"1.{n}.1", sender=f"S{n % 2}", Modality="CT") for n in range(studies)]
        await self.index.apply([replace(row, data_set_length=100) for row in entries])


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    index = await open_sqlite_index(tmp_path / "index.db")
    yield Room(objects, index, Metrics())
    for store in (index, objects):
        await store.close()


async def test_a_count_that_is_broken_off_goes_on_where_it_was(room: Room) -> None:
    await room.keep(120)

    def break_off(state: Usage) -> None:
        if state.studies == 70:
            raise DependencyUnavailable("index", "away")

    counter = room.counter()
    broken = Usage()
    with pytest.raises(DependencyUnavailable):
        await counter.count(broken, break_off)
    await counter.passes.save(broken)
    state = await counter.passes.latest()
    assert state is not None
    assert (state.studies, state.instances, state.finished_at) == (70, 70, 0)
    whole = await room.counter().count(state)
    assert (whole.studies, whole.instances, whole.bytes) == (120, 120, 12_000)
    assert whole.senders == {"S0": [60, 6000], "S1": [60, 6000]}
    assert room.metrics.counted_bytes.labels("CT")._value.get() == 12_000


async def test_a_process_that_starts_shows_what_was_counted_before(room: Room) -> None:
    await room.keep(3)
    await room.counter().count()
    metrics = Metrics()
    counter = UsageCounter(room.objects, room.index, SystemClock(), metrics, "default", rate=0)
    running = asyncio.create_task(counter.run(3600.0))
    try:
        async with asyncio.timeout(20):
            while metrics.counted_bytes.labels("CT")._value.get() != 300:
                await asyncio.sleep(0.01)
    finally:
        await end_tasks(running)


async def test_a_place_that_the_index_does_not_understand_counts_from_nothing(room: Room) -> None:
    await room.keep(3)
    state = Usage(studies=9, instances=9, bytes=9, place=["of", "another", "index"])
    whole = await room.counter().count(state)
    assert (whole.studies, whole.instances, whole.bytes) == (3, 3, 300)


def test_names_without_end_are_counted_together() -> None:
    state = Usage()
    for number in range(500):
        state.add("CT", f"INVENTED{number}", "2026-11", 10)
    assert len(state.senders) == 201
    assert state.senders[OTHERS] == [300, 3000]
    assert sum(size for _, size in state.senders.values()) == state.bytes == 5000


class Standing(SystemClock):
    """A clock that stands still."""

    def __init__(self, now: int) -> None:
        self.now = now

    def now_us(self) -> int:
        return self.now


NOW = 1_700_000_000_000_000
_HOUR = 3_600_000_000


async def keep_at(room: Room, number: int, received: int, *, in_place: bool = False) -> None:
    receipt = Receipt(f"{received // 1000:012x}{number:020x}")
    key = receipt.reference_key("default") if in_place else receipt.object_key("default")
    row = entry(1, f"9.{number}", f"1.{number}", f"1.{number}.1", Modality="CT")
    await room.index.apply([replace(row, receipt=receipt.id, object_key=key, data_set_length=10**number)])


async def test_a_count_covers_what_came_an_hour_before_it_and_takes_room_here(room: Room) -> None:
    await keep_at(room, 1, NOW - 10 * _HOUR)
    await keep_at(room, 2, NOW - 10 * _HOUR, in_place=True)
    await keep_at(room, 3, NOW - _HOUR // 2)  # a listing has it
    await keep_at(room, 4, NOW - 2 * _HOUR)
    counter = UsageCounter(room.objects, room.index, Standing(NOW), room.metrics, "default", rate=0)
    assert (await counter.count()).bytes == 11_110
    assert await newest_count(room.objects) == StoredCount(NOW, NOW, 10_010)


async def test_a_pass_that_goes_on_leaves_the_count_before_it(room: Room) -> None:
    await room.keep(120)
    await room.counter().count()
    before = await newest_count(room.objects)
    assert before is not None
    assert before.settled == 12_000

    def break_off(state: Usage) -> None:
        if state.studies == 70:
            raise DependencyUnavailable("index", "away")

    broken = Usage(begun_at=SystemClock().now_us())
    counter = room.counter()
    with pytest.raises(DependencyUnavailable):
        await counter.count(broken, break_off)
    await counter.passes.save(broken)
    assert await newest_count(room.objects) == before
    state = await counter.passes.latest()
    assert state is not None
    await room.counter().count(state)
    after = await newest_count(room.objects)
    assert after is not None
    assert (after.begun_at, after.settled) == (broken.begun_at, 12_000)


async def test_the_rest_of_a_pass_that_an_earlier_release_began_is_no_count_for_a_quota(room: Room) -> None:
    await room.keep(3)
    await room.counter().count(Usage(begun_at=SystemClock().now_us(), studies=2, instances=2, bytes=200))
    assert await newest_count(room.objects) is None
