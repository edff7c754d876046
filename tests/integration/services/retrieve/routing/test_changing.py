"""Whom rules notify of what was taken away, on a real embedded index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import SqliteIndex, SqliteLog, open_sqlite_index, open_sqlite_log
from gantry.common.clock import ManualClock, SystemClock
from gantry.common.config.routing_sections import RoutingSettings
from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.dicom.query.where import studies_where
from gantry.common.events import InstancesDeleted, InstancesRestored, ReceiptReference, StudyCorrected
from gantry.common.lifecycle import Deletion, DeletionState
from gantry.common.lifecycle.routes import RouteRule
from gantry.common.ports.index import Decision, InstanceEntry, InstanceKey
from gantry.services.retrieve.routing.changing import ChangeRequests
from gantry.services.retrieve.routing.requesting import route_rules
from tests.support.entries import entry

ONE = entry(1, "1.2.3.1.1", PatientID="P1", Modality="CT", sender="CT1")
TWO = entry(2, "1.2.3.1.2", PatientID="P1", Modality="CT", sender="CT2")
RIS = RouteRule("planner", studies_where(["PatientID=P1"], "default", STANDARD), frozenset(), notify=("RIS",))


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    fixture = await open_sqlite_log(tmp_path / "log", SystemClock())
    yield fixture
    await fixture.close()


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[SqliteIndex]:
    fixture = await open_sqlite_index(tmp_path / "index")
    await fixture.apply([ONE, TWO])
    yield fixture
    await fixture.close()


def deleted(*entries: InstanceEntry) -> InstancesDeleted:
    names = tuple(
        ReceiptReference(instance.series_instance_uid, instance.sop_instance_uid, instance.receipt)
        for instance in entries
    )
    return InstancesDeleted("default", "", "1.2.3", "d1", names, "why", "anna", 5)


async def hide(
    index: SqliteIndex,
    *entries: InstanceEntry,
    deletion_state: DeletionState = DeletionState(frozenset((Deletion("d1", 5),))),
) -> None:
    keys = [
        InstanceKey(instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid)
        for instance in entries
    ]
    await index.decide(
        [
            Decision("default", key, instance.receipt, deletion_state)
            for key, instance in zip(keys, entries, strict=True)
        ]
    )


def asking(index: SqliteIndex, log: SqliteLog, *rules: RouteRule) -> ChangeRequests:
    return ChangeRequests(rules, log, index, ManualClock())


async def test_rules_are_compared_with_what_a_study_was_of_which_nothing_is_left(
    index: SqliteIndex, log: SqliteLog
) -> None:
    other = RouteRule("other", studies_where(["PatientID=P2"], "default", STANDARD), frozenset(), notify=("HIS",))
    requests = asking(index, log, RIS, other)
    await hide(index, ONE, TWO)
    (route,) = await requests.routes_of(deleted(ONE, TWO))
    assert (route.destination, route.sop_instance_uids) == ("RIS", ("1.2.3.1.1", "1.2.3.1.2"))
    assert route.sop_class_uids == (ONE.sop_class_uid,) * 2
    # What is withdrawn is told as such, and not while it is not.
    names = deleted(ONE).receipts
    restored = InstancesRestored("default", "", "1.2.3", ("d1",), names, "", "anna", 6)
    assert await requests.routes_of(restored) == []
    await hide(index, ONE, deletion_state=DeletionState(withdrawn=frozenset(("d1",))))
    (route,) = await requests.routes_of(restored)
    assert route.sop_instance_uids == ("1.2.3.1.1",)


async def test_nobody_is_told_where_another_receipt_stands_for_what_was_taken_away(
    index: SqliteIndex, log: SqliteLog
) -> None:
    again = entry(3, "1.2.3.1.1", digest="blake3:01", PatientID="P1", Modality="CT")
    await index.apply([again])
    await hide(index, ONE)
    assert await asking(index, log, RIS).routes_of(deleted(ONE)) == []


async def test_a_rule_with_sources_is_about_what_those_sent(index: SqliteIndex, log: SqliteLog) -> None:
    requests = asking(index, log, RouteRule("own", RIS.query, frozenset(("CT1",)), notify=("RIS",)))
    await hide(index, ONE, TWO)
    assert len(await requests.routes_of(deleted(ONE))) == 1
    assert await requests.routes_of(deleted(TWO)) == []
    sends = asking(index, log, RouteRule("sends", RIS.query, frozenset(), to=("READING",)))
    assert await sends.routes_of(deleted(ONE)) == []


CORRECTED = StudyCorrected("default", "", "1.2.3", "c1", "", "why", "anna", 5)


def telling(name: str, where: str, *sources: str) -> RouteRule:
    query = studies_where([where], "default", STANDARD)
    return RouteRule(name, query, frozenset(sources), notify=(name, "BOARD"), corrected=(name,))


async def test_of_corrections_those_are_told_that_rules_name_for_them(index: SqliteIndex, log: SqliteLog) -> None:
    rules = [telling("RIS", "PatientID=P1"), telling("HIS", "PatientID=P2"), RIS]
    routes = await asking(index, log, *rules).corrections_of(CORRECTED)
    assert [(route.destination, route.rule) for route in routes] == [("RIS", "RIS")]
    planners = [telling("A", "PatientID=P1", "CT2"), telling("B", "PatientID=P1", "CT9")]
    routes = await asking(index, log, *planners).corrections_of(CORRECTED)
    assert [route.destination for route in routes] == ["A"]
    await hide(index, ONE, TWO)
    assert await asking(index, log, *rules).corrections_of(CORRECTED) == []


@pytest.mark.parametrize("wanted", [True, False])
def test_only_receivers_of_rules_with_corrections_are_told_of_them(*, wanted: bool) -> None:
    settings = RoutingSettings.model_validate(
        {
            "receivers": [{"name": "RIS", "host": "ris", "port": 2575}],
            "rules": [{"name": "one", "notify": ["RIS", "BOARD"], "corrections": wanted}],
        }
    )
    (rule,) = route_rules(settings, STANDARD)
    assert (rule.notify, rule.corrected) == (("RIS", "BOARD"), ("RIS",) if wanted else ())
