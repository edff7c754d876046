"""Fetching from archives that refuse, are away or are asked by another process, on embedded stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from gantry.common.access import EVERYTHING, NOTHING, Sight, restricted
from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_MOVE
from gantry.common.dimse import CommandField, Element
from gantry.common.net import MemorySink, Peer, Request, Server, Sink
from gantry.common.runtime.breaker import Breakers
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Ability
from gantry.services.process.association_log import NetworkObserver
from gantry.services.retrieve.fetching.record import FetchRecord, FetchRecords
from gantry.services.retrieve.fetching.sending import Archives
from gantry.services.retrieve.fetching.through import FetchThrough
from gantry.services.retrieve.unindexed import Locator
from tests.integration.services.query.federation.test_bad_archives import Everyone
from tests.integration.services.retrieve.test_unindexed import STUDY, Room, deletion_of, fact
from tests.support.dicom import EXPLICIT, to_bytes


@dataclass
class Holding:
    """Another archive. It sends by what a sender's objects become: facts on our log."""

    room: Room
    sends: int = 2
    tells: int = 2
    status: int = 0
    asked: list[str] = field(default_factory=list)
    abilities = dict.fromkeys(
        (STUDY_ROOT_FIND, STUDY_ROOT_MOVE), Ability(frozenset((EXPLICIT,)), preferred=(EXPLICIT,))
    )

    def receive(self, request: Request) -> Sink:
        return MemorySink(1 << 20)

    async def perform(self, request: Request) -> None:
        if request.command.field == CommandField.C_FIND_RQ:
            self.asked.append("FIND")
            answer = Dataset()
            answer.QueryRetrieveLevel, answer.StudyInstanceUID = "STUDY", STUDY
            answer.NumberOfStudyRelatedInstances = self.tells
            await request.respond_pending([to_bytes(answer, EXPLICIT)] if self.tells else [], 0xFF00)
            await request.respond(0)
            return
        assert request.command.text(Element.MOVE_DESTINATION) == "GANTRY"
        self.asked.append("MOVE")
        for number in range(1, self.sends + 1):
            await self.room.log.append(fact(number))
        await request.respond(self.status)


@asynccontextmanager
async def serving(service: Holding) -> AsyncIterator[int]:
    server = Server([service], Everyone(), NetworkObserver(Metrics(), "query"))
    try:
        yield await server.start("127.0.0.1", 0)
    finally:
        await server.drain(0.1)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    index = await open_sqlite_index(tmp_path / "index.db")
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    try:
        yield Room(log, index, objects)
    finally:
        await objects.close()
        await index.close()
        await log.close()


def through(room: Room, ports: dict[str, int], requests: list[str], breakers: Breakers | None = None) -> FetchThrough:
    archives = Archives(
        dict.fromkeys(ports, 2.0),
        lambda title, ours: Peer("127.0.0.1", ports[title], title, ours),
        "GANTRY",
        breakers or Breakers(),
        Metrics(),
        lambda requester, _, __, why, sop_class: requests.append(f"{requester[0]} {sop_class} {why}"),
    )
    clock = SystemClock()
    located = Locator(room.index, room.log, room.objects, clock)
    return FetchThrough(
        *(archives, FetchRecords(room.objects), located, room.index, lambda title: title != "PLAIN", clock, Metrics()),
        deadline=20,
        at_once=2,
    )


async def test_where_the_first_archive_refuses_the_next_one_sends(room: Room) -> None:
    refusing, sending = Holding(room, sends=0, tells=3, status=0xA801), Holding(room, sends=3, tells=3)
    requests: list[str] = []
    async with serving(refusing) as old, serving(sending) as north:
        lack = await through(room, {"OLD": old, "NORTH": north}, requests).bring(STUDY, "t")
    assert (lack.instances, refusing.asked, sending.asked) == (0, ["FIND", "MOVE"], ["FIND", "MOVE"])
    assert requests[-2].startswith(f"OLD {STUDY_ROOT_MOVE} answered")
    assert requests[-1] == f"NORTH {STUDY_ROOT_MOVE} "
    assert await FetchRecords(room.objects).read(STUDY) is None


async def test_a_part_is_remembered_and_is_not_the_study_for_the_next_process(room: Room) -> None:
    holding = Holding(room, sends=2, tells=3, status=0xB000)
    async with serving(holding) as port:
        assert (await through(room, {"OLD": port}, []).bring(STUDY, "t")).instances == 1
        record = await FetchRecords(room.objects).read(STUDY)
        assert record == FetchRecord(0, 3, "OLD")
        holding.sends, holding.status = 3, 0
        assert (await through(room, {"OLD": port}, []).bring(STUDY, "t")).instances == 0
    assert holding.asked == ["FIND", "MOVE"] * 2


async def test_what_was_deleted_here_is_not_brought_back(room: Room) -> None:
    gone = fact(1)
    await room.log.append(gone)
    await room.log.append(deletion_of(gone))
    await room.index_next(2)
    holding = Holding(room)
    async with serving(holding) as port:
        assert (await through(room, {"OLD": port}, []).bring(STUDY, "t")).instances == 0
    assert holding.asked == []


async def test_what_another_process_fetches_is_waited_for(room: Room) -> None:
    records, clock = FetchRecords(room.objects), SystemClock()
    await records.write(STUDY, FetchRecord(clock.now_us() + 60_000_000, 1, "OLD"))
    holding = Holding(room)
    async with serving(holding) as port:
        waiting = asyncio.create_task(through(room, {"OLD": port}, []).bring(STUDY, "t"))
        await asyncio.sleep(1.0)
        assert not waiting.done()
        await room.log.append(fact(1))
        await records.remove(STUDY)
        async with asyncio.timeout(10):
            assert (await waiting).instances == 0
    assert holding.asked == []


async def test_one_that_failed_just_before_is_left_alone_and_nobody_says_that_it_has_nothing(room: Room) -> None:
    breakers, holding = Breakers(), Holding(room)
    breakers.of("OLD").failed(asyncio.get_running_loop().time())
    async with serving(holding) as port:
        lack = await through(room, {"OLD": port}, [], breakers).bring(STUDY, "t")
    assert (lack.instances, lack.why, holding.asked) == (1, "OLD did not say whether it has it", [])


async def test_only_who_sees_every_study_and_is_no_archive_has_studies_fetched(room: Room) -> None:
    fetching = through(room, {"OLD": 104}, [])
    with restricted(EVERYTHING):
        assert [fetching.is_for(title) for title in ("READER", " READER ", "PLAIN", "OLD", "OLD ")] == [
            *(True, True, False, False, False)
        ]
    for sight in (NOTHING, Sight(copies="a link")):
        with restricted(sight):
            assert not fetching.is_for("READER")
