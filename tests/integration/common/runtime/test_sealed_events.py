"""Facts sealed into the bucket and read back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import ManualClock
from gantry.common.errors import Corrupt
from gantry.common.events import InstanceStored, decode, encode
from gantry.common.events.segments import SealedRecord, seal, unseal
from gantry.common.ids import FOLDER_MS, Receipt, receipt_in_key
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.ports.log import EventLog, Record
from gantry.common.runtime.consumer import Delivery
from gantry.common.runtime.sealed_events import resealed_key, segments
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance.resealing import Resealing
from gantry.services.maintenance.sealing import Archiver, segment_key
from gantry.services.maintenance.sweeper import Sweeper
from tests.support.facts import conflict, stored
from tests.support.objects import data_set, file_bytes

GRACE = 900.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[BlobStore]:
    opened = await open_file_store(tmp_path / "objects", low_water=0)
    yield opened
    await opened.close()


@pytest.fixture
async def log(tmp_path: Path, clock: ManualClock) -> AsyncIterator[EventLog]:
    opened = await open_sqlite_log(tmp_path / "log.db", clock)
    yield opened
    await opened.close()


def deliveries(*events: object) -> list[Delivery]:
    return [
        Delivery(Record("instances", 0, n, f"key{n}", encode(event), 5), event)  # type: ignore[arg-type]
        for n, event in enumerate(events)
    ]


def now_ms(clock: ManualClock) -> int:
    return clock.now_us() // 1000


async def test_what_was_sealed_is_read_back_in_order(objects: BlobStore, clock: ManualClock) -> None:
    archiver = Archiver(objects, clock, Metrics())
    events = [stored(1), conflict(2), stored(3)]
    for event in events:
        await archiver(deliveries(event))
        clock.advance(FOLDER_MS / 1000)
    read = [s async for s in segments(objects, "default", 0, now_ms(clock))]
    history = [decode(record.payload) for segment in read for record in segment.records]
    assert history == [replace(e, header=None) if isinstance(e, InstanceStored) else e for e in events]
    assert [segment.sealed_at for segment in read] == sorted(segment.sealed_at for segment in read)
    # Of a window only its own folders are looked at.
    since = now_ms(clock) - FOLDER_MS - 1
    assert len([s async for s in segments(objects, "default", since, now_ms(clock))]) == 1


async def test_a_damaged_segment_is_said_and_not_read(objects: BlobStore, clock: ManualClock, tmp_path: Path) -> None:
    await Archiver(objects, clock, Metrics())(deliveries(stored(1)))
    (file,) = (tmp_path / "objects" / "facts").rglob("*.seg")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(Corrupt):
        [s async for s in segments(objects, "default", 0, now_ms(clock))]


@pytest.mark.parametrize(
    "key", ["objects/default/0000000/README", "facts/default/x/" + "z" * 32 + ".seg", "a/" + "0" * 31]
)
def test_what_is_not_named_by_us_is_no_receipt(key: str) -> None:
    assert receipt_in_key(key) is None


async def test_an_object_without_a_fact_is_told_after_the_grace_time_and_once_sealed_never_again(
    objects: BlobStore, log: EventLog, clock: ManualClock
) -> None:
    ds = data_set()
    receipt = Receipt.at(clock.now_us())
    await objects.put(receipt.object_key("default"), [file_bytes(ds)])
    sweeper = Sweeper(objects, log, clock, Metrics(), GRACE, 3600.0)
    clock.advance(GRACE - 1)
    assert (await sweeper.sweep()).told == 0
    clock.advance(2)
    swept = await sweeper.sweep()
    assert (swept.objects, swept.told, swept.unreadable) == (1, 1, 0)
    (record,) = [record async for record in log.replay("instances")]
    fact = decode(record.payload)
    assert (fact.receipt, fact.sop_instance_uid) == (receipt.id, ds.SOPInstanceUID)  # type: ignore[union-attr]
    await Archiver(objects, clock, Metrics())([Delivery(record, fact)])
    assert (await sweeper.sweep()).told == 0


async def test_an_object_that_cannot_be_read_is_counted_and_stops_nothing(
    objects: BlobStore, log: EventLog, clock: ManualClock
) -> None:
    for content in (b"no dicom", file_bytes(data_set())[:200], file_bytes(data_set())):
        await objects.put(Receipt.at(clock.now_us()).object_key("default"), [content])
        clock.advance(1)
    clock.advance(GRACE)
    swept = await Sweeper(objects, log, clock, Metrics(), GRACE, 3600.0).sweep()
    assert (swept.objects, swept.told, swept.unreadable) == (3, 1, 2)


async def test_a_segment_is_where_its_time_says(clock: ManualClock) -> None:
    receipt = Receipt.at(clock.now_us())
    assert segment_key("default", receipt) == f"facts/default/{receipt.id[:7]}/{receipt.id}.seg"
    assert receipt_in_key(segment_key("default", receipt)) == receipt


async def old_segment(objects: BlobStore, clock: ManualClock, number: int) -> str:
    """A segment as earlier releases sealed it, with a patient's name in it."""
    event = replace(stored(number), header=b"\x10\x00\x10\x00PN\x08\x00Doe^Jane")
    key = segment_key("default", Receipt.at(clock.now_us()))
    await objects.put(key, [seal([SealedRecord("instances", "k", 5, encode(event))])])
    clock.advance(FOLDER_MS / 1000)
    return key


async def payloads(objects: BlobStore) -> dict[str, bytes]:
    """By key, what is in all segments."""
    keys = [stat.key async for stat in objects.list("facts/")]
    return {key: b"".join(r.payload for r in unseal(await read_whole(objects, key))) for key in keys}


async def test_old_segments_are_sealed_anew_without_headers_in_their_order_and_once(
    objects: BlobStore, clock: ManualClock
) -> None:
    old = [await old_segment(objects, clock, number) for number in (1, 2)]
    await Archiver(objects, clock, Metrics())(deliveries(stored(3)))
    assert any(b"Doe^Jane" in content for content in (await payloads(objects)).values())
    done = await Resealing(objects, clock, "default").run()
    assert (done.segments, done.resealed, done.records) == (3, 2, 2)
    contents = await payloads(objects)
    assert not any(b"Doe^Jane" in content for content in contents.values())
    assert set(map(resealed_key, old)) < set(contents)
    assert not set(old) & set(contents)
    read = [decode(r.payload) async for s in segments(objects, "default", 0, now_ms(clock)) for r in s.records]
    assert read == [replace(stored(n), header=None) for n in (1, 2, 3)]
    # Again, from where it was: nothing but what was sealed last is looked at.
    again = await Resealing(objects, clock, "default").run()
    assert (again.segments, again.resealed) == (1, 0)


async def test_sealing_anew_that_broke_off_anywhere_is_gone_on_with(objects: BlobStore, clock: ManualClock) -> None:
    first, second = [await old_segment(objects, clock, number) for number in (1, 2)]
    deleted = objects.delete

    async def dies(key: str) -> None:
        raise RuntimeError("killed")

    objects.delete = dies  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await Resealing(objects, clock, "default").run()
    objects.delete = deleted  # type: ignore[method-assign]
    # Both lie there: read twice, which changes nothing.
    assert {first, resealed_key(first), second} == set(await payloads(objects))
    await Resealing(objects, clock, "default").run()
    assert set(await payloads(objects)) == {resealed_key(first), resealed_key(second)}


async def test_a_segment_that_is_sealed_anew_while_it_is_read_is_read_all_the_same(
    objects: BlobStore, clock: ManualClock
) -> None:
    await old_segment(objects, clock, 1)
    await old_segment(objects, clock, 2)
    read = segments(objects, "default", 0, now_ms(clock))
    first = await anext(read)
    await Resealing(objects, clock, "default").run()
    assert len([first, *[segment async for segment in read]]) == 2


async def test_a_damaged_old_segment_is_said_and_stays(objects: BlobStore, clock: ManualClock) -> None:
    key = await old_segment(objects, clock, 1)
    content = bytearray(await read_whole(objects, key))
    content[-1] ^= 1
    await objects.put(key, [content])
    with pytest.raises(Corrupt):
        await Resealing(objects, clock, "default").run()
    assert await read_whole(objects, key) == content
