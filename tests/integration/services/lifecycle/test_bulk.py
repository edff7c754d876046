"""Many studies are deleted by a rule, at a rate, around what is held; a run that broke off is continued."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import Clock, SystemClock
from gantry.common.dicom.query.attributes import STANDARD, Level
from gantry.common.dicom.query.matching import Query
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import INDEXED
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.telemetry.metrics import Metrics
from gantry.services.commands.deleting import query_of
from gantry.services.indexer.app import build_consumer
from gantry.services.lifecycle.bulk import BulkDeletion, matching_studies
from gantry.services.lifecycle.deletions import Deletions
from gantry.services.requester import Requester
from tests.support.facts import stored

ASKED = Requester("somebody", "ten years")


class Room:
    """Embedded stores, with an indexer that runs."""

    def __init__(self, log: EventLog, index: SearchIndex) -> None:
        self.log, self.index = log, index
        self.deletions = Deletions(log, index, SystemClock(), 3600.0)

    async def arrive(self, study: int, date: str, instances: int = 2) -> str:
        uid = f"1.2.{study}"
        header = b"\x08\x00\x20\x00DA\x08\x00" + date.encode() + b"\x10\x00\x20\x00LO\x02\x00P1"
        for number in range(instances):
            event = stored(study * 100 + number, uid)
            await self.log.append(replace(event, header=header, sop_instance_uid=f"{uid}.{number}"))
        await self.deletions.settle()
        return uid

    async def studies(self) -> list[str]:
        return sorted(study.uid for study in await matching_studies(self.index, Query(DEFAULT_PARTITION, Level.STUDY)))


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    index = await open_sqlite_index(tmp_path / "index.db")
    loop = build_consumer(objects, log, index, SystemClock(), Metrics(), STANDARD)
    running = asyncio.create_task(loop.run())
    yield Room(log, index)
    loop.stop()
    await running
    for store in (index, log, objects):
        await store.close()


async def test_a_rule_names_studies_and_all_of_them_are_deleted(room: Room) -> None:
    old = [await room.arrive(1, "20100101"), await room.arrive(2, "20141231", instances=3)]
    young = await room.arrive(3, "20240101")
    studies = await matching_studies(room.index, query_of(["StudyDate=-20141231"], STANDARD))
    assert [(study.uid, study.date, study.instances) for study in studies] == [
        (old[0], "20100101", 2),
        (old[1], "20141231", 3),
    ]
    counted: list[int] = []
    bulk = BulkDeletion(room.deletions, SystemClock(), 1e6)
    done = await bulk.run([study.uid for study in studies], ASKED, lambda: counted.append(1))
    assert (done.studies, done.receipts, done.held, len(counted)) == (2, 5, [], 2)
    assert await room.studies() == [young]


async def test_what_is_held_stays_and_what_a_run_before_deleted_is_passed_over(room: Room) -> None:
    uids = [await room.arrive(number, "20100101") for number in (1, 2, 3)]
    await room.deletions.place_hold(uids[1], ASKED)
    bulk = BulkDeletion(room.deletions, SystemClock(), 1e6)
    await bulk.run(uids[:1], ASKED)
    done = await bulk.run(uids, ASKED)
    assert (done.studies, done.gone, done.held) == (1, 1, [uids[1]])
    assert await room.studies() == [uids[1]]


class CountingClock(SystemClock):
    """Counts what it is slept, without sleeping long."""

    slept = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        await super().sleep(min(seconds, 0.001))


async def test_the_rate_is_kept(room: Room) -> None:
    uids = [await room.arrive(number, "20100101", instances=10) for number in (1, 2, 3)]
    clock = CountingClock()
    await BulkDeletion(room.deletions, clock, 10.0).run(uids, ASKED)
    assert clock.slept > 1 + 2 + 3 - 1  # thirty receipts, ten a second, less what the work took


async def test_indexers_that_do_not_follow_end_it_in_words(tmp_path: Path) -> None:
    clock: Clock = CountingClock()
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    index = await open_sqlite_index(tmp_path / "index.db")
    async with log.consumer("indexer", list(INDEXED)):
        await log.append(stored(1, "1.2.1"))
        deletions = Deletions(log, index, clock, 3600.0, patience=0.01)
        with pytest.raises(DependencyUnavailable, match="do not follow"):
            await BulkDeletion(deletions, clock, 1e6).run(["1.2.1"], ASKED)
    for store in (index, log):
        await store.close()
