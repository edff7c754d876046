"""Deleting, restoring, holding and collecting on real embedded stores, with time in the test's hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import SqliteIndex, SqliteLog, open_sqlite_index, open_sqlite_log
from gantry.common.clock import ManualClock
from gantry.common.errors import Conflicting, DependencyUnavailable, Held, NotFound
from gantry.common.events import (
    INDEXED,
    HoldPlaced,
    InstancesDeleted,
    InstancesRestored,
    InstanceStored,
    ObjectsCollected,
    ReceiptReference,
    decode,
)
from gantry.common.ids import Receipt
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import Record
from gantry.common.runtime.consumer import Delivery
from gantry.common.telemetry.metrics import Metrics
from gantry.services.indexer.handlers import Indexer
from gantry.services.lifecycle.deletions import Deletions, DeletionTarget, target_of
from gantry.services.maintenance.collector import Collector
from gantry.services.requester import Requester
from tests.support.facts import stored
from tests.support.following import indexed

STUDY = "1.2.3"
GRACE = 3600.0
ASKED = Requester("somebody", "a reason")
WHOLE = DeletionTarget(STUDY)


@dataclass
class Room:
    objects: BlobStore
    log: SqliteLog
    index: SqliteIndex
    clock: ManualClock

    @property
    def deletions(self) -> Deletions:
        return Deletions(self.log, self.index, self.clock, GRACE, patience=0.0)

    @property
    def collector(self) -> Collector:
        parts = self.objects, self.log, self.index, self.clock, Metrics(), "default"
        return Collector(*parts, grace=GRACE, patience=0.0)

    async def arrive(self, number: int, instance: int = 0, digest: str = "blake3:00") -> InstanceStored:
        receipt = Receipt.at(self.clock.now_us() + number * 1000)
        event = replace(
            stored(number),
            header=b"\x10\x00\x20\x00LO\x02\x00P1",
            receipt=receipt.id,
            object_key=receipt.object_key("default"),
            sop_instance_uid=f"{STUDY}.1.{instance or number}",
            digest=digest,
        )
        await self.objects.put(event.object_key, [b"object"])
        await self.log.append(event)
        return event

    async def follow(self) -> None:
        """The indexers catch up."""
        indexer = Indexer(self.objects, self.log, self.index, self.clock, Metrics())
        async with self.log.consumer("indexer", list(INDEXED)) as consumer:
            while not await indexed(self.log):
                records = await consumer.poll(100)
                await indexer([Delivery(record, decode(record.payload)) for record in records])
                await consumer.commit(records)

    async def told(self, cls: type) -> list[object]:
        events = [decode(record.payload) async for record in self.log.replay("instances")]
        return [event for event in events if isinstance(event, cls)]

    async def count(self) -> int:
        return (await self.index.count("default"))["instances"]

    async def keys(self) -> list[str]:
        return [stat.key async for stat in self.objects.list("objects/")]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    clock = ManualClock()
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    index = await open_sqlite_index(tmp_path / "index.db")
    yield Room(objects, log, index, clock)
    for store in (index, log, objects):
        await store.close()


async def test_a_deletion_names_every_receipt_there_is_indexed_or_not_aside_or_redundant(room: Room) -> None:
    indexed = [await room.arrive(1, 1), await room.arrive(2, 1), await room.arrive(3, 1, "blake3:ff")]
    await room.follow()
    waiting = [await room.arrive(4, 4), await room.arrive(5, 1)]
    done = await room.deletions.delete(WHOLE, ASKED)
    assert (done.receipts, done.settled) == (5, False)
    (event,) = await room.told(InstancesDeleted)
    assert isinstance(event, InstancesDeleted)
    assert {receipt.receipt for receipt in event.receipts} == {receipt.receipt for receipt in (*indexed, *waiting)}
    assert (event.by, event.reason, event.final) == ("somebody", "a reason", False)
    await room.follow()
    assert await room.count() == 0
    # Nothing is named twice, also while the indexers have not heard of it.
    with pytest.raises(NotFound):
        await room.deletions.delete(WHOLE, ASKED)


async def test_a_deletion_that_is_not_indexed_yet_is_not_made_again(room: Room) -> None:
    await room.arrive(1)
    await room.follow()
    await room.deletions.delete(WHOLE, ASKED)
    with pytest.raises(NotFound):
        await room.deletions.delete(WHOLE, ASKED)
    late = await room.arrive(2)
    assert (await room.deletions.delete(WHOLE, ASKED)).receipts == 1
    assert late.receipt in repr((await room.told(InstancesDeleted))[-1])


async def test_a_hold_is_in_the_way_before_it_is_indexed_and_until_it_is_released(room: Room) -> None:
    await room.arrive(1)
    await room.follow()
    await room.deletions.place_hold(STUDY, ASKED)
    for _ in range(2):
        with pytest.raises(Held, match="1 hold stands"):
            await room.deletions.delete(WHOLE, ASKED, final=True)
        await room.follow()
    await room.deletions.release_holds(STUDY, ASKED)
    assert (await room.deletions.delete(WHOLE, ASKED)).receipts == 1
    await room.follow()
    with pytest.raises(NotFound):
        await room.deletions.release_holds(STUDY, ASKED)


async def test_what_was_deleted_is_restored_within_the_grace_time_alone(room: Room) -> None:
    await room.arrive(1)
    await room.arrive(2)
    await room.follow()
    await room.deletions.delete(WHOLE, ASKED)
    await room.follow()
    room.clock.advance(GRACE - 1)
    target = DeletionTarget(STUDY, f"{STUDY}.1", f"{STUDY}.1.1")
    assert (await room.deletions.restore(target, ASKED)).receipts == 1
    await room.follow()
    assert await room.count() == 1
    room.clock.advance(2)
    with pytest.raises(NotFound, match="nothing of that can be restored"):
        await room.deletions.restore(WHOLE, ASKED)


async def test_what_a_note_rejected_does_not_come_back_with_what_was_deleted(room: Room) -> None:
    """Neither at once nor when the same is asked again, since the answer was lost."""
    rejected = await room.arrive(1)
    await room.arrive(2)
    await room.follow()
    target = DeletionTarget(STUDY, rejected.series_instance_uid, rejected.sop_instance_uid)
    at = ReceiptReference(rejected.series_instance_uid, rejected.sop_instance_uid, rejected.receipt)
    reason = "113037", "CT1", room.clock.now_us()
    note = InstancesDeleted("default", "", STUDY, "n1", (at,), *reason, kept=True, code="113037")
    await room.log.append(note)
    await room.follow()
    await room.deletions.delete(WHOLE, ASKED)
    await room.follow()
    assert await room.count() == 0
    assert (await room.deletions.restore(WHOLE, ASKED)).receipts == 1
    await room.follow()
    with pytest.raises(Conflicting, match="is back; 1 rejected object can come back"):
        await room.deletions.restore(WHOLE, ASKED)
    assert await room.count() == 1
    assert (await room.deletions.restore(target, ASKED)).receipts == 1
    await room.follow()
    assert await room.count() == 2


async def test_what_one_note_hides_comes_back_and_nothing_else(room: Room) -> None:
    images = [await room.arrive(number) for number in (1, 2, 3)]
    notes = [await room.arrive(number) for number in (8, 9)]
    await room.follow()
    refer = [
        ReceiptReference(event.series_instance_uid, event.sop_instance_uid, event.receipt)
        for event in (*images, *notes)
    ]
    reason = "113001", "CT1", room.clock.now_us()
    # The first note is hidden with what it hides, the second one is shown.
    first, second = (refer[0], refer[2], refer[3]), (refer[1], refer[2])
    for note, hidden in zip(notes, (first, second), strict=True):
        await room.log.append(
            InstancesDeleted("default", "", STUDY, note.receipt, hidden, *reason, kept=True, code="113001")
        )
    await room.follow()
    assert await room.count() == 1
    with pytest.raises(NotFound, match="hides nothing"):
        await room.deletions.restore_rejected(STUDY, "1.2.3.99", ASKED)
    assert (await room.deletions.restore_rejected(STUDY, notes[0].sop_instance_uid, ASKED)).receipts == 2
    await room.follow()
    # One image is back; another is hidden by the second note, too; and so is the first note itself.
    assert await room.count() == 2
    with pytest.raises(NotFound, match="hides nothing"):
        await room.deletions.restore_rejected(STUDY, notes[0].sop_instance_uid, ASKED)
    assert (await room.deletions.restore_rejected(STUDY, notes[1].sop_instance_uid, ASKED)).receipts == 2
    await room.follow()
    assert await room.count() == 4


async def test_what_a_note_rejected_does_not_come_back_when_what_was_deleted_no_longer_can(room: Room) -> None:
    rejected, copy = await room.arrive(1), await room.arrive(1)
    await room.arrive(2)
    await room.follow()
    at = [ReceiptReference(each.series_instance_uid, each.sop_instance_uid, each.receipt) for each in (rejected, copy)]
    reason = "113037", "CT1", room.clock.now_us()
    await room.log.append(InstancesDeleted("default", "", STUDY, "n1", (at[0],), *reason, kept=True, code="113037"))
    await room.deletions.delete_receipts(STUDY, at[1:], ASKED)
    await room.follow()
    await room.deletions.delete(DeletionTarget(STUDY, f"{STUDY}.1", f"{STUDY}.1.2"), ASKED)
    await room.follow()
    room.clock.advance(GRACE + 1)
    with pytest.raises(Conflicting, match="can no longer be restored; 1 rejected object can come back"):
        await room.deletions.restore(WHOLE, ASKED)
    assert await room.count() == 0


async def test_a_rejection_is_revoked_though_a_copy_was_given_up_and_collected(room: Room) -> None:
    rejected, copy = await room.arrive(1), await room.arrive(1)
    await room.follow()
    at = [ReceiptReference(each.series_instance_uid, each.sop_instance_uid, each.receipt) for each in (rejected, copy)]
    await room.deletions.delete_receipts(STUDY, at[1:], ASKED)
    reason = "113037", "CT1", room.clock.now_us()
    await room.log.append(InstancesDeleted("default", "", STUDY, "n1", (at[0],), *reason, kept=True, code="113037"))
    await room.follow()
    room.clock.advance(GRACE + 301)
    await room.collector.collect()
    await room.follow()
    assert (await room.deletions.restore(WHOLE, ASKED)).receipts == 1
    await room.follow()
    assert await room.count() == 1


async def test_objects_are_collected_after_the_grace_time_and_the_certificate_names_their_digests(room: Room) -> None:
    first, stays = await room.arrive(1), await room.arrive(2)
    await room.follow()
    await room.deletions.delete(DeletionTarget(STUDY, f"{STUDY}.1", f"{STUDY}.1.1"), ASKED)
    await room.follow()
    for seconds in (0.0, GRACE, 299.0):  # restoring was refused before
        room.clock.advance(seconds)
        assert (await room.collector.collect()).objects == 0
    room.clock.advance(2)
    assert (await room.collector.collect()).objects == 1
    assert await room.keys() == [stays.object_key]
    (certificate,) = await room.told(ObjectsCollected)
    assert isinstance(certificate, ObjectsCollected)
    assert [receipt.receipt for receipt in certificate.receipts] == [first.receipt]
    assert certificate.digests == (first.digest,)
    await room.follow()
    assert (await room.collector.collect()).objects == 0
    # Its event again, as it was sealed: the object is not looked for, and no dead letter is written.
    await room.log.append(replace(first, header=None))
    await room.follow()
    assert await room.count() == 1


async def test_a_hold_or_a_restoration_keeps_objects_even_before_the_indexers_hear_of_it(room: Room) -> None:
    await room.arrive(1)
    await room.follow()
    await room.deletions.delete(WHOLE, ASKED)
    await room.follow()
    room.clock.advance(GRACE - 1)
    await room.deletions.restore(WHOLE, ASKED)
    room.clock.advance(400)
    # Behind: what is on the log may be a restoration.
    with pytest.raises(DependencyUnavailable, match="behind"):
        await room.collector.collect()
    await room.follow()
    assert (await room.collector.collect()).objects == 0
    assert (len(await room.keys()), await room.count()) == (1, 1)
    await room.deletions.delete(WHOLE, ASKED)
    await room.deletions.place_hold(STUDY, ASKED)
    await room.follow()
    room.clock.advance(GRACE + 400)
    done = await room.collector.collect()
    assert (done.objects, done.held) == (0, 1)
    assert len(await room.told(HoldPlaced)) == 1


async def test_what_is_purged_is_collected_at_once_deleted_before_or_not_and_never_restored(room: Room) -> None:
    await room.arrive(1)
    await room.follow()
    await room.deletions.delete(WHOLE, ASKED)
    await room.follow()
    await room.arrive(2)
    await room.follow()
    assert (await room.deletions.delete(WHOLE, ASKED, final=True)).receipts == 2
    await room.follow()
    with pytest.raises(NotFound):
        await room.deletions.restore(WHOLE, ASKED)
    assert (await room.collector.collect()).objects == 2
    assert await room.keys() == []
    assert await room.told(InstancesRestored) == []


async def test_an_object_that_was_never_heard_of_is_collected_by_the_name_of_its_receipt(room: Room) -> None:
    event = await room.arrive(1)
    await room.follow()
    await room.deletions.delete(WHOLE, ASKED, final=True)
    deletion = (await room.told(InstancesDeleted))[0]
    index = await room.index.successor(await room.index.attributes())
    indexer = Indexer(room.objects, room.log, index, room.clock, Metrics())
    await indexer([Delivery(Record("instances", 0, 1, "", b"", 0), deletion)])  # type: ignore[arg-type]
    await index.take_over()
    await index.close()
    await room.follow()
    assert (await room.collector.collect()).objects == 1
    assert event.object_key not in await room.keys()


async def test_a_uid_is_a_study_a_series_or_an_instance_there_or_deleted(room: Room) -> None:
    await room.arrive(1)
    await room.follow()
    expected = {
        STUDY: DeletionTarget(STUDY),
        f"{STUDY}.1": DeletionTarget(STUDY, f"{STUDY}.1"),
        f"{STUDY}.1.1": DeletionTarget(STUDY, f"{STUDY}.1", f"{STUDY}.1.1"),
    }
    for _ in range(2):
        assert {uid: await target_of(room.index, uid) for uid in expected} == expected
        with suppress(NotFound):
            await room.deletions.delete(WHOLE, ASKED)
        await room.follow()
    with pytest.raises(NotFound):
        await target_of(room.index, "9.9")


async def test_nothing_is_collected_before_the_archivers_have_sealed_why(room: Room) -> None:
    await room.arrive(1)
    await room.follow()
    await room.deletions.delete(WHOLE, ASKED, final=True)
    await room.follow()
    parts = room.objects, room.log, room.index, room.clock, Metrics(), "default"
    collector = Collector(*parts, grace=GRACE, followers=("indexer", "archiver"), patience=0.0)
    with pytest.raises(DependencyUnavailable, match="group archiver are behind"):
        await collector.collect()
    assert len(await room.keys()) == 1
    async with room.log.consumer("archiver", list(INDEXED)) as consumer:
        await consumer.commit(await consumer.poll(100))
    assert (await collector.collect()).objects == 1


async def test_a_uid_that_means_two_instances_is_not_guessed(room: Room) -> None:
    event = await room.arrive(1)
    other = replace(event, study_instance_uid="1.9", receipt=Receipt.at(room.clock.now_us() + 5000).id)
    await room.log.append(other)
    await room.follow()
    with pytest.raises(NotFound, match=r"it means several: 1.2.3/.*, 1.9/"):
        await target_of(room.index, event.sop_instance_uid)
    assert (await target_of(room.index, "1.9")).study == "1.9"
