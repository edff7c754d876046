"""The desk of corrections: values of a patient without a study, and confidential patients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.dicom.model.json_writing import keys_as_attributes
from gantry.common.dicom.standard.tags import PATIENT_NAME
from gantry.common.errors import Conflicting, NotFound
from gantry.common.events import INDEXED, INDEXERS, decode
from gantry.common.lifecycle.identity import PatientIdentity
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.corrections import read_values
from gantry.services.corrections import CorrectionDesk
from gantry.services.indexer.corrections import changes_of
from gantry.services.requester import Requester
from tests.support.entries import entry

ASKED = Requester("hl7 RIS^H", "ADT^A40 M1", "t")
EMERGENCY, KNOWN, UNKNOWN = PatientIdentity("E1"), PatientIdentity("P1"), PatientIdentity("P9")
NAME = keys_as_attributes({PATIENT_NAME: [{"Alphabetic": "Doe^Jane"}]})


@dataclass
class Room:
    objects: BlobStore
    log: EventLog
    index: SearchIndex
    desk: CorrectionDesk

    async def follow(self) -> None:
        """What the indexers do with what is on the log."""
        events = [decode(record.payload) async for record in self.log.replay("patients")]
        await self.index.correct(await changes_of(self.objects, events))

    async def awaited(self) -> list[bool]:
        """Of each correction, whether it waits for a first study."""
        keys = [stat.key async for stat in self.objects.list("corrections/")]
        return [(await read_values(self.objects, key))[0].awaited for key in keys]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    clock = SystemClock()
    log, index = await open_sqlite_log(tmp_path / "log.db", clock), await open_sqlite_index(tmp_path / "index.db")
    await index.apply([entry(1, PatientID="P1", PatientName={"Alphabetic": "Roe^Jane"})])
    desk = CorrectionDesk(objects, log, index, clock, patience=0.0)
    async with log.consumer(INDEXERS, INDEXED) as consumer:
        made = Room(objects, log, index, desk)

        async def follow() -> None:
            await consumer.commit(await consumer.poll())
            await Room.follow(made)

        made.follow = follow  # type: ignore[method-assign]
        yield made
    await index.close()
    await log.close()
    await objects.close()


async def test_merge_into_somebody_who_is_known_waits_for_nobody(room: Room) -> None:
    """Its values name the survivor: they go with the survivor's studies, not 90 days later."""
    await room.desk.await_under(EMERGENCY, KNOWN, NAME, ASKED, renamed=False)
    assert await room.awaited() == [False]


async def test_merge_of_two_who_are_not_known_waits_and_closes_no_circle(room: Room) -> None:
    await room.desk.await_under(EMERGENCY, UNKNOWN, NAME, ASKED, renamed=False)
    assert await room.awaited() == [True]
    await room.follow()
    assert await room.desk.is_led_on(EMERGENCY)
    with pytest.raises(Conflicting):
        await room.desk.await_under(UNKNOWN, EMERGENCY, NAME, ASKED, renamed=False)


async def test_correction_of_somebody_who_is_not_known_is_refused_unless_it_may_wait(room: Room) -> None:
    with pytest.raises(NotFound):
        await room.desk.correct_patient(UNKNOWN, NAME, ASKED)
    await room.desk.correct_patient(UNKNOWN, NAME, ASKED, awaited=True)
    await room.desk.correct_patient(KNOWN, NAME, ASKED, awaited=True)
    assert sorted(await room.awaited()) == [False, True]


async def test_change_of_id_onto_that_of_another_patient_is_refused(room: Room) -> None:
    with pytest.raises(Conflicting):
        await room.desk.await_under(EMERGENCY, KNOWN, NAME, ASKED, renamed=True)
