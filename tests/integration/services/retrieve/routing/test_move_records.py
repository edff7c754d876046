"""Records of C-MOVEs on a log that is available, slow or away: a move never waits long, and its records are in
order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gantry.common.adapters.sqlite import SqliteLog, open_sqlite_log
from gantry.common.clock import ManualClock, SystemClock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import Event, RouteDelayed, RouteEnded, RouteProgressed, RouteRequested, decode
from gantry.common.net import Peer
from gantry.common.ports.index import Location
from gantry.common.telemetry.metrics import Metrics
from gantry.services.retrieve.dimse.suboperations import Counters
from gantry.services.retrieve.routing.move_records import MoveRecords

QUERY = Query("default", Level.STUDY, {STUDY_INSTANCE_UID: Single(("1.1",))})
READING = Peer("127.0.0.1", 11112, "READING", "GANTRY")
LOCATIONS = [
    Location("1.1", "1.1.1", f"1.1.1.{number}", "1.2", "1.2", f"objects/{number:032x}", 0, 1, "d")
    for number in range(3)
]


@dataclass
class Site:
    """The records of a process, and a log that can be taken away."""

    log: SqliteLog
    metrics: Metrics = field(default_factory=Metrics)
    is_away: bool = False
    hangs: bool = False

    def __post_init__(self) -> None:
        self.records = MoveRecords(self, ManualClock(), self.metrics, ["READING"], 30.0, 5.0)  # type: ignore[arg-type]  # appends

    async def append(self, *events: Event) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_away:
            raise DependencyUnavailable("event log", "away")
        await self.log.append(*events)

    async def begin(self, counters: Counters, peer: Peer = READING, user: object = None) -> Any:
        request = asked(user)
        return await self.records.begins(request, peer, QUERY, LOCATIONS, counters)

    async def said(self) -> list[Event]:
        return [decode(record.payload) async for record in self.log.replay("routes")]

    def left(self, why: str) -> float | None:
        return self.metrics.registry.get_sample_value("gantry_moves_left_total", {"destination": "READING", "why": why})


def asked(user: object = None) -> Any:
    """A C-MOVE of WS1, as far as it is looked at."""
    association = SimpleNamespace(calling_ae_title="WS1", trace="t", user=user)
    return SimpleNamespace(association=association, command=SimpleNamespace(message_id=7), withdrawn=False)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    yield Site(log)
    await log.close()


async def test_a_move_is_on_the_log_before_it_begins_and_its_end_before_it_is_answered(site: Site) -> None:
    counters = Counters(3)
    move = await site.begin(counters)
    (requested,) = await site.said()
    assert isinstance(requested, RouteRequested)
    assert site.records.is_under_way(requested.route)
    for location, status in zip(LOCATIONS, (0x0000, 0xC000, 0x0000), strict=True):
        counters.count(location, status)
    await move.end()
    _, taken, left = await site.said()
    assert isinstance(taken, RouteProgressed)
    assert isinstance(left, RouteDelayed)
    assert (taken.taken, left.route) == (("1.1.1.0", "1.1.1.2"), requested.route)
    assert not site.records.is_under_way(requested.route)
    move.leave()  # it has ended: nothing more is said
    await site.records.flush()
    assert len(await site.said()) == 3
    assert (site.left("failed"), site.left("requestor")) == (1, None)


async def test_a_move_that_is_broken_off_is_left_without_waiting(site: Site) -> None:
    counters = Counters(3)
    move = await site.begin(counters)
    counters.count(LOCATIONS[0], 0x0000)
    move.leave()
    assert len(await site.said()) == 1
    await site.records.flush()
    assert [type(event) for event in await site.said()] == [RouteRequested, RouteProgressed, RouteDelayed]
    assert site.left("requestor") == 1


async def test_while_the_log_is_away_a_move_goes_on_and_its_records_come_later_in_order(site: Site) -> None:
    site.is_away = True
    counters = Counters(3)
    move = await site.begin(counters)
    assert move is not None
    for location in LOCATIONS:
        counters.count(location, 0x0000)
    await move.end()
    assert await site.said() == []
    site.is_away = False
    await site.records.flush()
    requested, ended = await site.said()
    assert isinstance(requested, RouteRequested)
    assert isinstance(ended, RouteEnded)
    assert (ended.route, ended.outcome, ended.completed) == (requested.route, "delivered", 3)


async def test_a_move_waits_some_seconds_for_a_log_that_does_not_answer(site: Site) -> None:
    site.hangs = True
    async with asyncio.timeout(20):
        assert await site.begin(Counters(3)) is not None


async def test_moves_of_users_and_to_other_destinations_are_not_recorded(site: Site) -> None:
    assert await site.begin(Counters(3), Peer("127.0.0.1", 11112, "OTHER", "GANTRY")) is None
    assert await site.begin(Counters(3), user="anna") is None
    assert await site.said() == []
