"""Workitems of complete studies, on a real embedded index and log, with real objects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gantry.common.adapters.files import FileStore, open_file_store
from gantry.common.adapters.sqlite import SqliteIndex, SqliteLog, open_sqlite_index, open_sqlite_log
from gantry.common.clock import ManualClock, SystemClock
from gantry.common.config.routing_sections import RouteRuleSettings, RoutingSettings, WorkitemRequestSettings
from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.events import TOPICS, Event, RouteRequested, StudyCompleted, WorkitemCreated, decode, encode
from gantry.common.lifecycle import Deletion, DeletionState
from gantry.common.orders import unpack
from gantry.common.ports.index import Decision, InstanceKey
from gantry.common.ports.log import Record
from gantry.common.runtime.consumer import Delivery
from gantry.common.runtime.order_values import read_values
from gantry.services.retrieve.routing.requesting import RouteRequests, route_rules
from gantry.services.retrieve.routing.work import works_of
from gantry.services.retrieve.routing.work_requesting import WorkRequests
from tests.support.entries import entry

ENTRIES = [entry(1, "1.2.3.1.1", PatientID="P1"), entry(2, "1.2.3.1.2", PatientID="P1")]
COMPLETED = StudyCompleted("default", "t1", "1.2.3", "quiet", 2, 2, "00", "09", 1_767_600_000_000_000, ("CT1",))
WORKITEM = WorkitemRequestSettings(code="SEG^99LOCAL^Segment the liver")
RULES = RoutingSettings(
    rules=(
        RouteRuleSettings(name="liver", where=("PatientID=P1",), workitem=WORKITEM, to=("READING",)),
        RouteRuleSettings(name="others", where=("PatientID=P2",), workitem=WORKITEM),
        RouteRuleSettings(name="of MR1", sources=("MR1",), workitem=WORKITEM),
    )
)


@dataclass(slots=True)
class Site:
    objects: FileStore
    log: SqliteLog
    index: SqliteIndex
    requests: RouteRequests

    async def complete(self, completed: StudyCompleted) -> None:
        record = Record(TOPICS[StudyCompleted].name, 0, 0, "", encode(completed), completed.at)
        await self.requests([Delivery(record, completed)])

    async def said(self) -> list[Event]:
        """What is on the log, with its values."""
        events = []
        for kind in (RouteRequested, WorkitemCreated):
            events += [decode(record.payload) async for record in self.log.replay(TOPICS[kind].name)]
        return await read_values(self.objects, events)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    log = await open_sqlite_log(tmp_path / "log", SystemClock())
    index = await open_sqlite_index(tmp_path / "index")
    await index.apply(ENTRIES)
    objects = await open_file_store(tmp_path / "objects")
    clock = ManualClock()
    work = WorkRequests(works_of(RULES.rules), objects, index, clock, "GANTRY", "")
    yield Site(objects, log, index, RouteRequests(route_rules(RULES, STANDARD), log, index, clock, work))
    await objects.close()
    await index.close()
    await log.close()


async def test_rules_that_match_ask_for_work_beside_what_they_send(site: Site) -> None:
    await site.complete(COMPLETED)
    route, created = await site.said()
    assert isinstance(route, RouteRequested)
    assert (route.rule, route.destination) == ("liver", "READING")
    assert isinstance(created, WorkitemCreated)
    assert (created.source, created.trace) == ("archive", "t1")
    values = unpack(created.attributes)
    assert values[TAGS["WorklistLabel"]] == ["liver"]
    assert values[TAGS["PatientID"]] == ["P1"]
    (series,) = values[TAGS["InputInformationSequence"]]
    assert len(series[TAGS["ReferencedSOPSequence"]]) == 2


async def test_nothing_of_a_patient_is_on_the_log(site: Site) -> None:
    await site.complete(COMPLETED)
    payloads = [record.payload async for record in site.log.replay(TOPICS[WorkitemCreated].name)]
    assert len(payloads) == 1
    assert b"P1" not in payloads[0]


async def test_a_completion_that_comes_again_is_the_same_workitem(site: Site) -> None:
    await site.complete(COMPLETED)
    await site.complete(COMPLETED)
    created = [event for event in await site.said() if isinstance(event, WorkitemCreated)]
    assert len({(workitem.sop_instance_uid, workitem.change) for workitem in created}) == 1


async def test_a_study_of_which_nothing_is_left_is_no_work(site: Site) -> None:
    keys = [
        InstanceKey(instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid)
        for instance in ENTRIES
    ]
    deletion_state = DeletionState(frozenset((Deletion("d1", 5),)))
    await site.index.decide(
        [
            Decision("default", key, instance.receipt, deletion_state)
            for key, instance in zip(keys, ENTRIES, strict=True)
        ]
    )
    await site.complete(COMPLETED)
    assert await site.said() == []
