"""Retention and holds on patients, on real embedded stores, with time in the test's hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from blake3 import blake3

from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.dicom.query.where import studies_where
from gantry.common.errors import Held, NotFound
from gantry.common.events import InstancesDeleted, InstanceStored, ReceiptReference, StudyAccessed, StudyCorrected
from gantry.common.ids import Receipt
from gantry.common.lifecycle import Period, RetentionRule, Since
from gantry.common.runtime.corrections import CorrectionSubject, write_values
from gantry.common.runtime.elsewhere import CommittedElsewhere
from gantry.common.runtime.protection import Protection
from gantry.common.telemetry.metrics import Metrics
from gantry.services.lifecycle.deletions import Deletions, DeletionTarget
from gantry.services.lifecycle.expiry import Expiry
from gantry.services.lifecycle.moves import MoveDesk
from gantry.services.maintenance.collector import Collector
from gantry.services.requester import Requester
from gantry.services.retrieve.accesses import ProcessAccesses
from tests.integration.services.lifecycle.test_deletions import ASKED, GRACE, Room, room
from tests.support.facts import stored

__all__ = ["room"]
DAY = 24 * 3600.0
TODAY = date(2023, 11, 14)
"""Where a `ManualClock` stands."""


def element(tag: int, vr: str, value: str) -> bytes:
    raw = value.encode() + (b" " if len(value) % 2 else b"")
    group, number = tag.to_bytes(4, "big")[:2][::-1], tag.to_bytes(4, "big")[2:][::-1]
    return group + number + vr.encode() + len(raw).to_bytes(2, "little") + raw


def header(patient: str = "P1", day: str = "20200101", born: str = "19600101", issuer: str = "") -> bytes:
    parts = [element(0x00080020, "DA", day), element(0x00080060, "CS", "CT"), element(0x00100020, "LO", patient)]
    if issuer:
        parts.append(element(0x00100021, "LO", issuer))
    return b"".join([*parts, element(0x00100030, "DA", born)])


def rule(period: Period | None, name: str = "r", **fields: Any) -> RetentionRule:
    return RetentionRule(name, studies_where([], "default", STANDARD), period, **fields)


async def arrive(room: Room, study: str, number: int = 1, sender: str = "CT1", **fields: str) -> InstanceStored:
    receipt = Receipt.at(room.clock.now_us() + number * 1000)
    event = replace(
        stored(number, study),
        header=header(**fields),
        receipt=receipt.id,
        object_key=receipt.object_key("default"),
        calling_ae_title=sender,
        digest=f"blake3:{blake3(bytes(700)).hexdigest()}",
    )
    await room.objects.put(event.object_key, [bytes(1000)])
    await room.log.append(event)
    return event


def deletions(room: Room, *rules: RetentionRule) -> Deletions:
    return Deletions(room.log, room.index, room.clock, GRACE, patience=0.0, rules=rules)


def collector(room: Room, *rules: RetentionRule) -> Collector:
    parts = room.objects, room.log, room.index, room.clock, Metrics(), "default"
    return Collector(*parts, grace=GRACE, patience=0.0, rules=rules)


def expiry(room: Room, *rules: RetentionRule) -> Expiry:
    protection = Protection(room.log, room.index, room.clock, rules)
    return Expiry(room.index, Following(room, rules), protection, room.clock, float("inf"))


class Following(Deletions):
    """Deletions beside which an indexer runs, as it does in an archive."""

    def __init__(self, room: Room, rules: tuple[RetentionRule, ...]) -> None:
        elsewhere = CommittedElsewhere(room.objects)
        super().__init__(room.log, room.index, room.clock, GRACE, patience=0.0, rules=rules, elsewhere=elsewhere)
        self._room = room

    async def settle(self) -> bool:
        await self._room.follow()
        return await super().settle()


async def test_what_a_rule_keeps_is_deleted_by_nobody_and_afterwards_by_anybody(room: Room) -> None:
    await arrive(room, "1.2", day="20200101")
    await room.follow()
    service = deletions(room, rule(Period(years=10)))
    for final in (False, True):
        with pytest.raises(Held, match="rule 'r' keeps this study until 2030-01-01"):
            await service.delete(DeletionTarget("1.2"), ASKED, final=final)
    with pytest.raises(Held, match="for ever"):
        await deletions(room, rule(None)).delete(DeletionTarget("1.2"), ASKED)
    await deletions(room, rule(Period(years=3))).delete(DeletionTarget("1.2"), ASKED)


async def test_a_study_that_is_not_indexed_yet_is_kept_by_its_own_header(room: Room) -> None:
    await arrive(room, "1.2", day="20200101", patient="P7")
    with pytest.raises(Held, match="2030-01-01"):
        await deletions(room, rule(Period(years=10))).delete(DeletionTarget("1.2"), ASKED)
    await deletions(room).place_patient_hold("P7", "", ASKED)
    with pytest.raises(Held, match="holds"):
        await deletions(room).delete(DeletionTarget("1.2"), ASKED)


async def test_a_hold_on_a_patient_is_on_all_his_studies_and_on_those_that_come_later(room: Room) -> None:
    await arrive(room, "1.2", 1, patient="P1", issuer="A")
    await arrive(room, "1.3", 2, patient="P1", issuer="B")
    await arrive(room, "1.4", 3, patient="P2", issuer="A")
    await room.follow()
    # On the log, and not followed yet: it stands already.
    await deletions(room).place_patient_hold("P1", "A", ASKED)
    with pytest.raises(Held):
        await deletions(room).delete(DeletionTarget("1.2"), ASKED)
    await room.follow()
    await arrive(room, "1.5", 4, patient="P1", issuer="A")
    await room.follow()
    for study in ("1.2", "1.5"):
        with pytest.raises(Held, match=r"holds? stands? on this study or its patient"):
            await deletions(room).delete(DeletionTarget(study), ASKED)
    await deletions(room).delete(DeletionTarget("1.3"), ASKED)
    await deletions(room).delete(DeletionTarget("1.4"), ASKED)
    with pytest.raises(NotFound):
        await deletions(room).release_patient_holds("P1", "", ASKED)
    await deletions(room).release_patient_holds("P1", "A", ASKED)
    await deletions(room).delete(DeletionTarget("1.5"), ASKED)


async def test_nothing_on_the_log_names_the_patient_of_a_hold(room: Room) -> None:
    await deletions(room).place_patient_hold("SECRET-ID", "SECRET-ISSUER", ASKED)
    payloads = [record.payload async for record in room.log.replay("patients")]
    assert len(payloads) == 1
    assert b"SECRET" not in payloads[0]


async def test_what_was_deleted_before_is_not_collected_under_a_hold_or_a_rule_of_now(room: Room) -> None:
    event = await arrive(room, "1.2", day="20200101")
    await room.follow()
    await deletions(room).delete(DeletionTarget("1.2"), ASKED)
    await room.follow()
    room.clock.advance(GRACE + 400)
    assert (await collector(room, rule(Period(years=10))).collect()).held == 1
    await deletions(room).place_patient_hold("P1", "", ASKED)
    await room.follow()
    assert (await collector(room).collect()).held == 1
    with pytest.raises(Held):
        await deletions(room).delete(DeletionTarget("1.2"), ASKED, final=True)
    assert await room.keys() == [event.object_key]
    await deletions(room).release_patient_holds("P1", "", ASKED)
    await room.follow()
    assert (await collector(room, rule(Period(years=3))).collect()).objects == 1
    assert await room.keys() == []


async def test_a_copy_of_the_same_bytes_may_go_and_other_bytes_may_not(room: Room) -> None:
    first, other = await arrive(room, "1.2", 1), await arrive(room, "1.2", 2)
    again = replace(first, receipt=other.receipt, object_key=other.object_key)
    await room.log.append(again)
    await room.follow()
    retention = rule(None)
    copy = ReceiptReference(again.series_instance_uid, again.sop_instance_uid, again.receipt)
    with pytest.raises(Held):
        await deletions(room, retention).delete_receipts("1.2", [copy], ASKED)
    await deletions(room, retention).delete_receipts("1.2", [copy], ASKED, bytes_stay=True)
    await room.follow()
    room.clock.advance(GRACE + 400)
    assert (await collector(room, retention).collect()).objects == 1


@pytest.mark.parametrize(
    ("rules", "goes"),
    [
        (lambda: [rule(Period(years=3), deletes=True)], ["1.2"]),
        (lambda: [rule(Period(years=3))], []),
        (lambda: [rule(Period(years=3), deletes=True), rule(Period(years=4), "longer")], []),
        (lambda: [rule(Period(years=3), deletes=True, sources=frozenset(["MR1"]))], []),
        (lambda: [rule(Period(days=1), deletes=True, since=Since.RECEIPT)], []),
    ],
)
async def test_what_a_rule_lets_go_is_deleted_and_nothing_else(
    room: Room, rules: Callable[[], list[RetentionRule]], goes: list[str]
) -> None:
    await arrive(room, "1.2", 1, day="20200101")
    await arrive(room, "1.3", 2, day="20210601")
    await room.follow()
    assert [study.uid async for study in expiry(room, *rules()).going(TODAY)] == goes
    result = await expiry(room, *rules()).expire()
    assert result.studies == len(goes)
    deleted = [event for event in await room.told(InstancesDeleted) if isinstance(event, InstancesDeleted)]
    assert [event.study_instance_uid for event in deleted] == goes
    assert [(event.by, event.final) for event in deleted] == [("retention rule r", False)] * len(goes)
    # Again: nothing is left.
    assert (await expiry(room, *rules()).expire()).studies == 0


async def test_a_list_says_when_and_under_which_rule_and_what_is_held(room: Room) -> None:
    await arrive(room, "1.2", 1, day="20200101", patient="P1")
    await arrive(room, "1.3", 2, day="20210601", patient="P2")
    await room.follow()
    await deletions(room).place_patient_hold("P1", "", ASKED)
    await room.follow()
    looking = expiry(room, rule(Period(years=3), deletes=True))
    listed = {study.uid: study async for study in looking.going(date(2024, 6, 1))}
    assert {uid: (study.retention.until, study.holds) for uid, study in listed.items()} == {
        "1.2": (date(2023, 1, 1), 1),
        "1.3": (date(2024, 6, 1), 0),
    }
    result = await looking.expire()
    assert (result.studies, result.held) == (0, ["1.2"])


async def test_an_access_is_published_once_a_day_and_counts(room: Room) -> None:
    await arrive(room, "1.2", day="20200101")
    await room.follow()
    rules = [rule(Period(days=30), since=Since.ACCESS, deletes=True)]
    room.clock.advance(29 * DAY)
    for _ in range(2):  # a restart forgets what was noted
        accesses = ProcessAccesses(room.log, room.index, room.clock)
        for _ in range(3):
            accesses.note("1.2")
            await accesses.publish()
        await room.follow()
    assert len(await room.told(StudyAccessed)) == 1
    room.clock.advance(29 * DAY)
    assert [study.uid async for study in expiry(room, *rules).going(TODAY.replace(year=2024, month=1, day=11))] == []
    with pytest.raises(Held, match="until 2024-01-12"):
        await deletions(room, *rules).delete(DeletionTarget("1.2"), ASKED)
    # Not followed yet, it counts already.
    accesses.note("1.2")
    await accesses.publish()
    with pytest.raises(Held, match="until 2024-02-10"):
        await deletions(room, *rules).delete(DeletionTarget("1.2"), Requester("x", "y"))


async def correct(room: Room, study: str, values: dict[str, Any]) -> None:
    room.clock.advance(1.0)
    name = Receipt.at(room.clock.now_us()).id
    await write_values(room.objects, "default", name, CorrectionSubject(study=study), values)
    await room.log.append(StudyCorrected("default", "", study, name, "", "why", "who", room.clock.now_us()))
    await room.follow()


async def test_a_correction_makes_no_retention_shorter(room: Room) -> None:
    await arrive(room, "1.2", day="20200101")
    await room.follow()
    await correct(room, "1.2", {"00080020": {"vr": "DA", "Value": ["19900101"]}})
    with pytest.raises(Held, match="2025-01-01"):
        await deletions(room, rule(Period(years=5))).delete(DeletionTarget("1.2"), ASKED)
    # One that makes it longer counts.
    await correct(room, "1.2", {"00080020": {"vr": "DA", "Value": ["20220101"]}})
    with pytest.raises(Held, match="2027-01-01"):
        await deletions(room, rule(Period(years=5))).delete(DeletionTarget("1.2"), ASKED)
    await deletions(room, rule(Period(years=1))).delete(DeletionTarget("1.2"), ASKED)


async def test_what_is_kept_is_not_moved_to_where_it_is_not(room: Room) -> None:
    await arrive(room, "1.2", 1, day="20200101")
    await arrive(room, "1.3", 2, day="20150101")
    await arrive(room, "1.4", 3, day="20230101")
    await room.follow()
    rules = [rule(Period(years=5))]
    desk = MoveDesk(room.objects, room.log, room.index, room.clock, 0.0, rules)
    with pytest.raises(Held, match="its retention would be shorter there"):
        await desk.move([DeletionTarget("1.2")], "1.3", ASKED)
    earlier = {"00080020": {"vr": "DA", "Value": ["19900101"]}}
    with pytest.raises(Held, match="its retention would be shorter there"):
        await desk.move([DeletionTarget("1.2")], "new", ASKED, earlier)
    assert (await desk.move([DeletionTarget("1.2")], "1.4", ASKED)).into == "1.4"
    await room.follow()
    with pytest.raises(Held):
        await deletions(room, *rules).delete(DeletionTarget("1.4"), ASKED)
    # What is over is moved anywhere.
    await desk.move([DeletionTarget("1.3")], "new", ASKED, earlier)
