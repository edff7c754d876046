"""What is acknowledged can be fetched before the indexers have passed it: on real embedded stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import SqliteIndex, SqliteLog, open_sqlite_index, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Condition, Query, Single, UidList
from gantry.common.dicom.scan.layout import PixelData, unpack_layout
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import InstancesDeleted, InstanceStored, ReceiptReference, decode
from gantry.common.lifecycle import Coercion
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import InstanceKey
from gantry.common.ports.log import Record
from gantry.common.runtime.decisions import decisions_of
from gantry.services.indexer.entries import entry_of
from gantry.services.retrieve.unindexed import Locator
from tests.support.facts import stored

HEADER = b"\x10\x00\x20\x00LO\x02\x00P1"
STUDY = "1.2.3"
PIXELS = PixelData(0x7FE00010, "OW", 12, 688)


@dataclass
class Room:
    log: SqliteLog
    index: SqliteIndex
    objects: BlobStore

    @property
    def locator(self) -> Locator:
        return Locator(self.index, self.log, self.objects, SystemClock())

    async def keys(self, level: Level = Level.STUDY, **conditions: Condition) -> list[str]:
        tags = {"study": STUDY_INSTANCE_UID, "series": SERIES_INSTANCE_UID, "instance": SOP_INSTANCE_UID}
        query = Query("default", level, {tags[name]: condition for name, condition in conditions.items()})
        return [at.object_key async for page in self.locator.locate(query) for at in page]

    async def index_next(self, count: int) -> None:
        """The indexers apply and commit so many."""
        async with self.log.consumer("indexer", ["instances"]) as consumer:
            records = await consumer.poll(count)
            events = [decode(record.payload) for record in records]
            await self.index.decide(decisions_of(events))
            await self.index.apply([entry_of(event) for event in events if isinstance(event, InstanceStored)])
            await consumer.commit(records)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    index = await open_sqlite_index(tmp_path / "index.db")
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    yield Room(log, index, objects)
    await objects.close()
    await index.close()
    await log.close()


def fact(number: int, study: str = STUDY) -> InstanceStored:
    return replace(stored(number, study), header=HEADER, pixel_data=PIXELS)


def key_of(event: InstanceStored) -> InstanceKey:
    return InstanceKey(event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid)


async def test_a_study_is_whole_however_far_the_indexers_are(room: Room) -> None:
    facts = [fact(n) for n in range(1, 7)]
    await room.log.append(*facts, fact(50, "1.9"))
    expected = [event.object_key for event in facts]
    for _ in range(4):
        assert sorted(await room.keys(study=Single((STUDY,)))) == expected
        assert await room.keys(study=Single(("1.9",))) == [fact(50, "1.9").object_key]
        assert await room.keys(study=Single(("1.8",))) == []
        await room.index_next(2)
    # What is sent again, and waits, is not there twice.
    await room.log.append(replace(facts[0], receipt="f" * 32, object_key="objects/default/0/again.dcm"))
    assert sorted(await room.keys(study=Single((STUDY,)))) == expected


async def test_only_what_is_asked_for_is_added(room: Room) -> None:
    facts = [fact(n) for n in range(1, 4)]
    other = replace(fact(4), series_instance_uid="1.2.3.2")
    await room.log.append(*facts, other, replace(fact(5), partition="other"))
    assert await room.keys(Level.SERIES, study=Single((STUDY,)), series=Single(("1.2.3.2",))) == [other.object_key]
    wanted = UidList((facts[1].sop_instance_uid, "9.9"))
    keys = {"study": Single((STUDY,)), "series": Single((facts[1].series_instance_uid,)), "instance": wanted}
    assert await room.keys(Level.IMAGE, **keys) == [facts[1].object_key]


async def test_one_instance_is_located_with_where_its_pixels_are(room: Room) -> None:
    event = fact(1)
    await room.log.append(event)
    for indexed in (False, True):
        if indexed:
            await room.index_next(1)
        at = (await room.locator.current("default", [key_of(event)]))[key_of(event)]
        assert (at.object_key, at.digest, at.data_set_length) == (event.object_key, event.digest, event.data_set_length)
        assert unpack_layout(at.layout).pixel_data == PIXELS
    assert await room.locator.current("default", [replace(key_of(event), series_instance_uid="1.2.3.9")]) == {}


async def test_what_is_indexed_can_be_fetched_while_the_log_is_away(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = [fact(1), fact(2)]
    await room.log.append(*facts)
    await room.index_next(1)

    async def away(*_: object, **__: object) -> list[Record]:
        raise DependencyUnavailable("event log", "away")

    monkeypatch.setattr(room.log, "uncommitted", away)
    assert await room.keys(study=Single((STUDY,))) == [facts[0].object_key]
    assert set(await room.locator.current("default", [key_of(event) for event in facts])) == {key_of(facts[0])}


def deletion_of(*events: InstanceStored) -> InstancesDeleted:
    receipts = tuple(ReceiptReference(e.series_instance_uid, e.sop_instance_uid, e.receipt) for e in events)
    return InstancesDeleted("default", "", STUDY, "d", receipts, "why", "who", 5)


async def test_what_is_deleted_is_not_located_however_far_the_indexers_are(room: Room) -> None:
    first, second = fact(1), fact(2)
    await room.log.append(first, second, deletion_of(first))
    for indexed in range(4):
        assert await room.keys(study=Single((STUDY,))) == [second.object_key]
        named = Single((first.sop_instance_uid,))
        assert await room.keys(Level.IMAGE, study=Single((STUDY,)), instance=named) == []
        if indexed < 3:
            await room.index_next(1)


async def test_an_event_that_comes_again_after_its_deletion_locates_nothing(room: Room) -> None:
    first = fact(1)
    await room.log.append(first, deletion_of(first))
    await room.index_next(2)
    await room.log.append(first)
    assert await room.keys(study=Single((STUDY,))) == []
    assert await room.locator.current("default", [key_of(first)]) == {}
    # The same object sent again is there.
    again = replace(first, receipt="f" * 32, object_key=f"objects/default/0/{'f' * 32}.dcm")
    await room.log.append(again)
    assert await room.keys(study=Single((STUDY,))) == [again.object_key]


async def test_what_was_coerced_is_known_before_the_indexers_come_to_it(room: Room) -> None:
    """Also where the event was too long to say it itself: then the object does."""
    coercion = Coercion(5, ("one",), {"00100021": {"vr": "LO", "Value": ["NORTH"]}})
    meta = file_meta("1.2", "1.3", "1.2.840.10008.1.2.1", private=coercion.pack())
    first, second = (replace(stored(n, STUDY), header=HEADER, data_set_offset=len(meta)) for n in (1, 2))
    await room.objects.put(second.object_key, [meta, HEADER])
    await room.log.append(replace(first, coercion=coercion.pack()), replace(second, coercion=None), stored(3, STUDY))
    pages = [
        page
        async for page in room.locator.locate(Query("default", Level.STUDY, {STUDY_INSTANCE_UID: Single((STUDY,))}))
    ]
    assert [(at.coercion, at.is_modified) for page in pages for at in page] == [
        (coercion, True),
        (coercion, True),
        (None, False),
    ]
