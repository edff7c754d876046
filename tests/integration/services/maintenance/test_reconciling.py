"""Comparing what was sealed with the index, on real embedded stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.errors import DependencyUnavailable, GantryError
from gantry.common.events import INDEXED, INDEXERS, InstanceStored, encode
from gantry.common.events.segments import SealedRecord
from gantry.common.ids import Receipt
from gantry.common.lifecycle import Deletion, DeletionState
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import Decision, InstanceKey, KnownReceipt, SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.metrics import Metrics
from gantry.services.indexer.rebuild import Rebuild
from gantry.services.maintenance import reconciling
from gantry.services.maintenance.completeness import CompleteIndex, Completeness
from gantry.services.maintenance.reconciling import Reconciled, Reconciler
from gantry.services.maintenance.recover_event import fact_of
from gantry.services.maintenance.sealing import bare_segment, segment_key
from tests.integration.services.maintenance.test_verify import JumpingClock
from tests.support.objects import data_set, file_bytes


@dataclass
class Room:
    objects: BlobStore
    log: EventLog
    index: SearchIndex
    following: asyncio.Task[None]
    metrics: Metrics = field(default_factory=Metrics)

    def reconciler(self, clock: SystemClock | None = None, *, heal: bool = True) -> Reconciler:
        parts = self.objects, self.log, self.index, clock or SystemClock(), self.metrics, "default"
        return Reconciler(*parts, rate=0.0, heal=heal)

    async def keep(self, count: int) -> list[InstanceStored]:
        """Objects with their events, each in a segment of its own; in no index."""
        events = []
        for number in range(count):
            at = 1_700_000_000_000_000 + number * 1_000_000
            receipt = Receipt.at(at)
            await self.objects.put(receipt.object_key("default"), [file_bytes(data_set(number=number))])
            event = await fact_of(self.objects, receipt.object_key("default"), "default", receipt, "")
            record = SealedRecord("instances", event.study_instance_uid, at, encode(event))
            await self.objects.put(segment_key("default", Receipt.at(at)), [bare_segment([record])])
            events.append(event)
        return events

    async def published(self) -> list[bytes]:
        return [record.payload async for record in self.log.replay("instances")]


async def follow(log: EventLog) -> None:
    """As the indexers do, but that nothing comes into an index."""
    async with log.consumer(INDEXERS, INDEXED) as consumer:
        while True:
            await consumer.commit(await consumer.poll())


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    clock = SystemClock()
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    index = await open_sqlite_index(tmp_path / "index.db")
    following = asyncio.create_task(follow(log))
    yield Room(objects, log, index, following)
    await end_tasks(following)
    for store in (index, log, objects):
        await store.close()


async def test_what_the_index_knows_is_not_published_again(room: Room) -> None:
    events = await room.keep(3)
    assert await Rebuild(room.objects, room.index)(events[:2]) == 0
    done = await room.reconciler().reconcile()
    assert (done.segments, done.events, done.unindexed, done.healed) == (3, 3, 1, 1)
    assert [finding["instance"] for finding in done.found] == [events[2].sop_instance_uid]
    assert len(await room.published()) == 1
    assert room.metrics.drift.labels("unindexed")._value.get() == 1


async def test_what_was_deleted_is_known_and_what_was_restored_must_be_there(room: Room) -> None:
    (event,) = await room.keep(1)
    await Rebuild(room.objects, room.index)([event])
    key = InstanceKey(event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid)
    deleted = DeletionState(frozenset({Deletion("d", 1)}))
    await room.index.decide([Decision("default", key, event.receipt, deleted)])
    assert (await room.reconciler().reconcile()).drift == 0
    # A deletion of which alone is known hides nothing that could come back.
    (other,) = (await room.keep(2))[1:]
    instance = InstanceKey(other.study_instance_uid, other.series_instance_uid, other.sop_instance_uid)
    await room.index.decide([Decision("default", instance, other.receipt, deleted)])
    assert other.receipt in {finding["receipt"] for finding in (await room.reconciler(heal=False).reconcile()).found}


async def test_an_event_that_the_indexers_have_not_read_is_no_drift(room: Room) -> None:
    (event,) = await room.keep(1)
    await end_tasks(room.following)
    await room.log.append(event)
    with pytest.raises(DependencyUnavailable, match="behind"):
        await room.reconciler(JumpingClock(step=1.0)).reconcile()
    assert len(await room.published()) == 1


async def test_a_pass_that_was_broken_off_goes_on_where_it_was(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    await room.keep(5)
    reconciler = room.reconciler()
    monkeypatch.setattr(reconciler.passes, "save_now_and_then", reconciler.passes.save)

    def break_off(state: Reconciled) -> None:
        if state.segments == 4:
            raise GantryError("broken off")

    with pytest.raises(GantryError, match="broken off"):
        await reconciler.reconcile(progress=break_off)
    before = await room.reconciler().passes.latest()
    assert before is not None
    assert (before.segments, before.finished_at) == (3, 0)
    done = await room.reconciler(heal=False).reconcile(replace(before))
    assert (done.segments, done.events, done.unindexed, done.healed) == (5, 5, 5, 3)


async def test_what_the_index_knows_at_a_second_look_is_no_drift(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    events = await room.keep(1)
    await Rebuild(room.objects, room.index)(events)
    looks, ask = 0, room.index.receipts_of

    async def late(partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, list[KnownReceipt]]:
        nonlocal looks
        looks += 1
        return {} if looks == 1 else await ask(partition, instances)

    monkeypatch.setattr(room.index, "receipts_of", late)
    assert (await room.reconciler().reconcile()).drift == 0
    assert looks == 2


async def test_an_index_that_is_behind_as_a_whole_is_not_compared(room: Room) -> None:
    await room.keep(1)
    completeness = Completeness(room.objects, room.log, room.index, SystemClock())
    parts = room.objects, room.log, CompleteIndex(room.index, completeness), SystemClock(), room.metrics, "default"
    with pytest.raises(DependencyUnavailable, match="behind what was indexed before"):
        await Reconciler(*parts, rate=0.0).reconcile()
    assert await room.published() == []
    await completeness.close()


async def test_an_index_that_was_lost_with_the_log_is_behind_before_any_indexer_has_joined(
    room: Room, tmp_path: Path
) -> None:
    events = await room.keep(1)
    log = await open_sqlite_log(tmp_path / "new-log.db", SystemClock())
    completeness = Completeness(room.objects, log, room.index, SystemClock())
    with pytest.raises(DependencyUnavailable, match="behind what was indexed before"):
        await completeness.check()
    await log.append(*events)  # as a restore does: now they are about to be indexed
    assert not await completeness.is_behind()
    await completeness.close()
    await log.close()


async def test_no_more_is_published_again_than_fell_through(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    await room.keep(4)
    monkeypatch.setattr(reconciling, "_MOST_HEALED", 2)
    done = await room.reconciler().reconcile()
    assert (done.unindexed, done.healed) == (4, 2)
    assert len(await room.published()) == 2
