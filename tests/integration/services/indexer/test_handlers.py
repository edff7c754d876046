"""The indexer on real embedded stores: what it applies, tells and refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from blake3 import blake3

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.dicom.query.matching import Level, Query
from gantry.common.events import (
    DeadLetter,
    InstanceConflictFound,
    InstancesDeleted,
    InstanceStored,
    NamesakeFound,
    ObjectLost,
    ReceiptReference,
    decode,
)
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import SearchIndex
from gantry.common.ports.log import EventLog, Record
from gantry.common.runtime.consumer import Delivery, Poison
from gantry.common.telemetry.metrics import Metrics
from gantry.services.indexer.app import build_consumer
from gantry.services.indexer.handlers import Indexer
from gantry.services.indexer.rebuild import Rebuild
from gantry.services.maintenance.completeness import Completeness
from tests.support.facts import stored
from tests.support.following import indexed


@dataclass
class Room:
    objects: BlobStore
    log: EventLog
    index: SearchIndex
    metrics: Metrics

    def indexer(self) -> Indexer:
        return Indexer(self.objects, self.log, self.index, SystemClock(), self.metrics)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    clock = SystemClock()
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    index = await open_sqlite_index(tmp_path / "index.db")
    yield Room(objects, log, index, Metrics())
    for store in (index, log, objects):
        await store.close()


def good(number: int, patient: bytes = b"P1") -> InstanceStored:
    return replace(stored(number), header=b"\x10\x00\x20\x00LO\x02\x00" + patient)


def delivered(*events: InstanceStored) -> list[Delivery]:
    return [Delivery(Record("instances", 0, n, "", b"", 0), event) for n, event in enumerate(events)]


async def on_topic(log: EventLog, topic: str) -> list[object]:
    return [decode(record.payload) async for record in log.replay(topic)]


async def test_a_batch_is_searchable_when_the_handler_returns(room: Room) -> None:
    await room.indexer()(delivered(*[good(n) for n in range(1, 31)]))
    assert await room.index.count("default") == {
        "patients": 1,
        "studies": 1,
        "series": 1,
        "instances": 30,
        "aside": 0,
    }


async def test_redelivery_changes_nothing(room: Room) -> None:
    batch = delivered(*[good(n) for n in range(1, 11)])
    for _ in range(3):
        await room.indexer()(batch)
    assert (await room.index.count("default"))["instances"] == 10
    assert await on_topic(room.log, "conflicts") == []
    assert room.metrics.instances_indexed.labels("redelivered")._value.get() == 20


async def test_a_conflict_is_told_even_if_the_first_telling_was_lost(room: Room) -> None:
    first = good(1)
    other = replace(first, receipt=f"{9:032x}", digest="blake3:ff")
    await room.indexer()(delivered(first, other))
    await room.indexer()(delivered(other))
    conflicts = await on_topic(room.log, "conflicts")
    assert all(isinstance(event, InstanceConflictFound) for event in conflicts)
    assert {(event.kept_digest, event.aside_digest) for event in conflicts} == {("blake3:00", "blake3:ff")}
    assert len(conflicts) == 2
    assert (await room.index.count("default"))["aside"] == 1


async def test_a_header_by_reference_is_read_from_the_object(room: Room) -> None:
    header = b"\x10\x00\x20\x00LO\x02\x00P9" + b"\x20\x00\x00\x40LT\x04\x00abcd"
    event = replace(good(1), header=None, header_length=len(header), data_set_offset=5, data_set_length=len(header) + 3)
    await room.objects.put(event.object_key, [b"meta.", header, b"pix"])
    await room.indexer()(delivered(event))
    pages = [page async for page in room.index.find(Query("default", Level.PATIENT))]
    assert [d.attributes[0x00100020] for d in pages[0]] == [["P9"]]


async def test_sealed_events_of_which_one_object_is_gone_give_the_others(room: Room) -> None:
    header = b"\x10\x00\x20\x00LO\x02\x00P9"
    bare = [replace(good(n), header=None, header_length=10, data_set_offset=0, data_set_length=10) for n in range(1, 4)]
    for event in bare[1:]:
        await room.objects.put(event.object_key, [header])
    assert await Rebuild(room.objects, room.index)(bare) == 1
    assert (await room.index.count("default"))["instances"] == 2


@pytest.mark.parametrize(
    "bad",
    [
        replace(good(5), header=b"\x10\x00\x20\x00LO\xff\xff"),
        replace(good(5), header=None, header_length=100),
    ],
)
async def test_what_can_never_be_applied_is_poison(room: Room, bad: InstanceStored) -> None:
    batch = delivered(good(1), bad, good(2))
    with pytest.raises(Poison) as caught:
        await room.indexer()(batch)
    assert caught.value.delivery is batch[1]
    assert "P1" not in caught.value.reason


async def test_a_poison_event_stops_nothing_else(room: Room) -> None:
    loop = build_consumer(room.objects, room.log, room.index, SystemClock(), room.metrics, STANDARD)
    bad = replace(good(3), header=b"\x10\x00\x20\x00LO\xff\xff")
    await room.log.append(*[good(n) if n != 3 else bad for n in range(1, 11)])
    running = asyncio.ensure_future(loop.run())
    async with asyncio.timeout(20):
        while not await indexed(room.log):
            await asyncio.sleep(0.01)
    loop.stop()
    with suppress(asyncio.CancelledError):
        await running
    assert (await room.index.count("default"))["instances"] == 9
    (letter,) = await on_topic(room.log, "dead-letters")
    assert isinstance(letter, DeadLetter)
    assert "NotUnderstood" in letter.reason
    # The header is not kept with it: dead letters are read by people, and sealed.
    assert decode(letter.payload) == replace(bad, header=None)


def deleted(*events: InstanceStored) -> Delivery:
    receipts = tuple(ReceiptReference(e.series_instance_uid, e.sop_instance_uid, e.receipt) for e in events)
    event = InstancesDeleted("default", "", events[0].study_instance_uid, "d", receipts, "why", "who", 5)
    return Delivery(Record("instances", 0, 9, "", b"", 0), event)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [2, 0, 1, 0], [0, 1, 2, 0, 2]])
async def test_what_is_deleted_is_not_found_whatever_comes_first_and_however_often(
    room: Room, order: list[int]
) -> None:
    first, other = good(1), good(2)
    batch = [*delivered(first, other), deleted(first)]
    for together in (True, False):
        for group in [[batch[n] for n in order]] if together else [[batch[n]] for n in order]:
            await room.indexer()(group)
        assert (await room.index.count("default"))["instances"] == 1
        assert first.sop_instance_uid not in await room.index.resolve("default", [first.sop_instance_uid])


async def test_an_index_of_which_everything_was_deleted_is_not_behind(room: Room) -> None:
    event = await kept(room, 1)
    await room.log.append(event)
    await room.log.append(deleted(event).event)
    loop = build_consumer(room.objects, room.log, room.index, SystemClock(), room.metrics, STANDARD)
    running = asyncio.ensure_future(loop.run())
    async with asyncio.timeout(20):
        while not await indexed(room.log):
            await asyncio.sleep(0.01)
    loop.stop()
    with suppress(asyncio.CancelledError):
        await running
    assert (await room.index.count("default"))["instances"] == 0
    assert not await Completeness(room.objects, room.log, room.index, SystemClock()).is_behind()


def resent(event: InstanceStored, number: int) -> InstanceStored:
    """The same bytes under another receipt."""
    return replace(event, receipt=f"{number:032x}", object_key=f"objects/default/0000000/{number:032x}.dcm")


async def kept(room: Room, number: int) -> InstanceStored:
    """An event whose object is in the store."""
    data = bytes([number]) * 700
    event = replace(good(number), digest=f"blake3:{blake3(data).hexdigest()}")
    await room.objects.put(event.object_key, [bytes(300), data])
    return event


async def read_from(room: Room, event: InstanceStored) -> str:
    (location,) = (await room.index.resolve("default", [event.sop_instance_uid]))[event.sop_instance_uid]
    return location.object_key


@pytest.mark.parametrize("damage", ["missing", "damaged", "short"])
async def test_what_is_sent_again_takes_the_place_of_a_lost_object(room: Room, damage: str) -> None:
    first = await kept(room, 1)
    again, third = resent(first, 2), resent(first, 3)
    await room.indexer()(delivered(first))
    good_bytes = [bytes(300), bytes([1]) * 700]
    for copy in (again, third):
        await room.objects.put(copy.object_key, good_bytes)
    await room.objects.delete(first.object_key)
    if damage != "missing":
        bad = [bytes(300), bytes([1]) * 699 + (b"x" if damage == "damaged" else b"")]
        await room.objects.put(first.object_key, bad)
    await room.indexer()(delivered(again))
    assert await read_from(room, first) == again.object_key
    (lost,) = await on_topic(room.log, "instances")
    assert isinstance(lost, ObjectLost)
    assert (lost.receipt, lost.object_key) == (first.receipt, first.object_key)
    assert lost.reason == ("missing" if damage == "missing" else "damaged")
    # The fact again, as everybody hears it who builds an index anew; and a third copy, which changes nothing.
    await room.indexer()([Delivery(Record("instances", 0, 9, "", b"", 0), lost), *delivered(first, again, third)])
    assert await read_from(room, first) == again.object_key
    assert room.metrics.objects_lost.labels(lost.reason)._value.get() == 1


async def test_what_is_sent_again_beside_a_good_object_changes_nothing(room: Room) -> None:
    first = await kept(room, 1)
    again = resent(first, 2)
    await room.indexer()(delivered(first, again))
    assert await read_from(room, first) == first.object_key
    assert await on_topic(room.log, "instances") == []


async def test_one_uid_in_two_studies_is_published_as_namesakes(room: Room) -> None:
    first = good(1)
    other = replace(resent(first, 2), study_instance_uid="1.99", series_instance_uid="1.99.1", digest="blake3:ff")
    await room.indexer()(delivered(first))
    await room.indexer()(delivered(other))
    (namesake,) = await on_topic(room.log, "conflicts")
    assert isinstance(namesake, NamesakeFound)
    assert (namesake.study_instance_uid, namesake.other_study_instance_uid) == ("1.99", first.study_instance_uid)
    assert (namesake.receipt, namesake.other_receipt) == (other.receipt, first.receipt)
    assert (await room.index.count("default"))["instances"] == 2
    assert room.metrics.namesakes_found._value.get() == 1
