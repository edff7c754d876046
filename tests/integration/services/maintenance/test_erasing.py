"""Values of corrections go when nothing is left of what they are about, and when no event names them; no sooner."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import ManualClock
from gantry.common.dicom.standard.tags import PATIENT_ID
from gantry.common.events import (
    PatientCorrected,
    PatientCorrectionsErased,
    StudyCorrected,
    StudyCorrectionsErased,
    decode,
)
from gantry.common.ids import Receipt
from gantry.common.lifecycle import Corrections, Deletion, DeletionState, patient_key
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import Decision, InstanceKey, SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.corrections import CorrectionSubject, write_values
from gantry.services.indexer.corrections import changes_of
from gantry.services.maintenance.erasing import Eraser
from tests.support.entries import entry

DAY_US = 24 * 3600 * 1_000_000
VALUES: dict[str, dict[str, Any]] = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "POE^JANE"}]}}
ONE = entry(1, PatientID="P1")
KEY = InstanceKey(ONE.study_instance_uid, ONE.series_instance_uid, ONE.sop_instance_uid)


@dataclass
class Room:
    objects: BlobStore
    log: EventLog
    index: SearchIndex
    clock: ManualClock

    def eraser(self, after: float = 0.0, awaited: float = 0.0) -> Eraser:
        return Eraser(self.objects, self.log, self.index, self.clock, "default", after, awaited)

    async def values(self, *, is_published: bool) -> str:
        """Values of a correction of now, and its event where somebody is told."""
        name = Receipt.at(self.clock.now_us()).id
        await write_values(self.objects, "default", name, CorrectionSubject(study=ONE.study_instance_uid), VALUES)
        if is_published:
            event = StudyCorrected("default", "", ONE.study_instance_uid, name, "", "x", "me", self.clock.now_us())
            await self.index.correct(await changes_of(self.objects, [event]))
        return name

    async def there(self) -> set[str]:
        return {stat.key.rpartition("/")[2].partition(".")[0] async for stat in self.objects.list("corrections/")}


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    clock = ManualClock()
    clock.advance(1_700_000_000)
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    log, index = await open_sqlite_log(tmp_path / "log.db", clock), await open_sqlite_index(tmp_path / "index.db")
    yield Room(objects, log, index, clock)
    await index.close()
    await log.close()
    await objects.close()


async def test_values_that_no_event_names_go_after_a_day(room: Room) -> None:
    unheard, heard = await room.values(is_published=False), await room.values(is_published=True)
    await room.index.apply([ONE])
    await room.eraser().erase()
    assert await room.there() == {unheard, heard}  # its event may be on its way
    room.clock.advance(30 * 3600)
    fresh = await room.values(is_published=False)
    await room.eraser().erase()
    assert await room.there() == {heard, fresh}


async def test_values_go_when_all_is_collected_and_has_been_for_a_while(room: Room) -> None:
    name = await room.values(is_published=True)
    await room.index.apply([ONE])
    eraser = room.eraser(after=60.0)
    deleted = DeletionState(frozenset([Deletion("d", 1)]))
    for deletion_state, gone in ((deleted, False), (deleted | DeletionState(collected=True), False)):
        await room.index.decide([Decision("default", KEY, ONE.receipt, deletion_state)])
        await eraser.erase()
        assert (name not in await room.there()) is gone
    room.clock.advance(61)
    assert await eraser.erase() == 1
    assert await room.there() == set()
    (event,) = [decode(record.payload) async for record in room.log.replay("instances")]
    assert isinstance(event, StudyCorrectionsErased)
    assert event.corrections == (name,)
    await room.index.correct(await changes_of(room.objects, [event]))
    assert (await room.index.corrections("default", ONE.study_instance_uid)).erasable == []
    assert await eraser.erase() == 0


async def test_values_that_wait_for_a_first_study_go_when_none_has_come(room: Room) -> None:
    patient = "9" * 32
    names = []
    for awaited in (True, False):
        names.append(Receipt.at(room.clock.now_us()).id)
        subject = CorrectionSubject(patient=patient, awaited=awaited)
        await write_values(room.objects, "default", names[-1], subject, VALUES)
        event = PatientCorrected("default", "", patient, names[-1], "x", "me", room.clock.now_us())
        await room.index.correct(await changes_of(room.objects, [event]))
    waiting, not_waiting = names
    eraser = room.eraser(awaited=90 * 86400.0)
    assert await eraser.erase() == 1
    assert await room.there() == {waiting}
    erased = [decode(record.payload) async for record in room.log.replay("patients")]
    await room.index.correct(await changes_of(room.objects, erased))
    room.clock.advance(89 * 86400)
    assert await eraser.erase() == 0
    room.clock.advance(86400)
    assert await eraser.erase() == 1
    assert await room.there() == set()
    events = [decode(record.payload) async for record in room.log.replay("patients")]
    assert [event.corrections for event in events if isinstance(event, PatientCorrectionsErased)] == [
        (not_waiting,),
        (waiting,),
    ]


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_correction_that_has_had_its_study_waits_for_no_other(room: Room, restarted: bool) -> None:
    patient = patient_key({PATIENT_ID: ("P1",)}, "")
    name = Receipt.at(room.clock.now_us()).id
    await write_values(room.objects, "default", name, CorrectionSubject(patient=patient, awaited=True), VALUES)
    event = PatientCorrected("default", "", patient, name, "x", "me", room.clock.now_us())
    await room.index.correct(await changes_of(room.objects, [event]))
    eraser = room.eraser(awaited=90 * 86400.0)
    assert await eraser.erase() == 0  # it waits
    await room.index.apply([ONE])
    eraser = room.eraser(awaited=90 * 86400.0) if restarted else eraser
    assert await eraser.erase() == 0
    deletion_state = DeletionState(frozenset([Deletion("d", 1)])) | DeletionState(collected=True)
    await room.index.decide([Decision("default", KEY, ONE.receipt, deletion_state)])
    assert await eraser.erase() == 1
    assert await room.there() == set()


async def test_values_that_cannot_be_read_do_not_apply_and_nothing_else_stands_still(room: Room) -> None:
    name = await room.values(is_published=False)
    broken = Receipt.at(room.clock.now_us()).id
    await room.objects.put(Receipt(broken).values_key("default"), [b"{"])
    at = "default", "", ONE.study_instance_uid
    events = [StudyCorrected(*at, key, "", "x", "me", 1) for key in (broken, name, "0" * 32)]
    changes = await changes_of(room.objects, events)
    joined = Corrections()
    for change in changes:
        joined |= change.corrections
    assert [correction.id for correction in joined.standing()] == [name]
    assert joined.made["0" * 32].values is None  # erased meanwhile
