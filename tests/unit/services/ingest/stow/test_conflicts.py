"""Reports of conflicts to a STOW-RS requester: for which objects, and what happens if they cannot be made."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.index import InstanceKey, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.services.ingest.stow.conflicts import ConflictReports, KnownInstance, in_conflict, is_preferred
from gantry.services.ingest.stow.response import ANOTHER_OBJECT_OF_THIS_UID, StowOutcome

CT = "1.2.840.10008.5.1.4.1.1.2"
PLAIN, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"


def stored(uid: str, digest: str, receipt: str, syntax: str = PLAIN) -> StowOutcome:
    return StowOutcome(CT, uid, "1.2", "1.2.3", digest=digest, transfer_syntax_uid=syntax, receipt=receipt)


HERE, OTHER_SERIES = InstanceKey("1.2", "1.2.3", "1.1"), InstanceKey("1.2", "1.2.4", "1.1")


@pytest.mark.parametrize(
    ("known", "conflict"),
    [
        ([], False),
        ([KnownInstance("", HERE, "a", PLAIN)], False),
        ([KnownInstance("", HERE, "b", PLAIN)], True),
        ([KnownInstance("", HERE, "a", JPEG)], True),
        ([KnownInstance("", InstanceKey("1.2", "1.2.3", "1.9"), "b", PLAIN)], False),
        ([KnownInstance("01", HERE, "b", PLAIN)], True),
        ([KnownInstance("99", HERE, "b", PLAIN)], False),
        ([KnownInstance("01", HERE, "b", PLAIN), KnownInstance("", HERE, "a", PLAIN)], False),
        ([KnownInstance("", OTHER_SERIES, "a", PLAIN)], True),
    ],
)
def test_an_earlier_object_with_other_bytes_is_a_conflict(known: list[KnownInstance], conflict: bool) -> None:
    assert in_conflict([stored("1.1", "a", "50")], known) == [conflict]


def test_of_two_objects_in_one_request_the_later_one_is_in_conflict() -> None:
    failed = StowOutcome(CT, "1.1", failure=0xC000)
    assert in_conflict([stored("1.1", "a", "50"), failed, stored("1.1", "b", "51")], []) == [False, False, True]


@pytest.mark.parametrize(
    ("preferences", "expected"),
    [
        (["report-conflicts"], True),
        (["respond-async, Report-Conflicts ; x=1"], True),
        (["handling=strict", "report-conflicts"], True),
        ([], False),
        (["report-conflicts-not", ""], False),
    ],
)
def test_a_preference_is_one_of_several(preferences: list[str], expected: bool) -> None:
    assert is_preferred(preferences) is expected


class Stores:
    """An index and a log that are away, or empty."""

    def __init__(self, away: bool) -> None:
        self.away = away
        self.asked: list[str] = []

    async def resolve(self, partition: str, uids: list[str]) -> dict[str, Any]:
        self.asked.append("index")
        return {}

    async def uncommitted(self, group: str, topic: str, key: str) -> list[Any]:
        self.asked.append("log")
        if self.away:
            raise DependencyUnavailable("log", "away")
        return []


def reports(stores: Stores) -> ConflictReports:
    return ConflictReports(cast(ReadIndex, stores), cast(EventLog, stores))


async def test_nothing_is_told_while_a_store_is_away() -> None:
    outcomes = [stored("1.1", "a", "50"), stored("1.1", "b", "51")]
    assert await reports(Stores(away=True)).of(outcomes, sees_all=True) is None
    report = await reports(Stores(away=False)).of(outcomes, sees_all=True)
    assert report is not None
    assert [entry.warning for entry in report] == [0, ANOTHER_OBJECT_OF_THIS_UID]


async def test_who_sees_some_studies_is_told_nothing_that_only_the_log_knows() -> None:
    stores = Stores(away=True)
    assert await reports(stores).of([stored("1.1", "a", "50")], sees_all=False) is not None
    assert stores.asked == ["index"]
