"""What other archives must commit before it goes: by hand, by rule, and when objects are collected."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from gantry.common.commitment.requested import RequestedTransaction
from gantry.common.commitment.wire import EventInformation
from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.dicom.query.where import studies_where
from gantry.common.errors import Held, PeerError
from gantry.common.events import CommitmentFailure, CommitmentReference, InstanceStored
from gantry.common.lifecycle import Period, RetentionRule
from gantry.common.runtime.elsewhere import CommittedElsewhere, Elsewhere
from gantry.common.runtime.protection import Protection
from gantry.common.telemetry.metrics import Metrics
from gantry.services.lifecycle.deletions import Deletions, DeletionTarget
from gantry.services.lifecycle.expiry import Expiry
from tests.integration.services.lifecycle.test_deletions import ASKED, GRACE, Room, room
from tests.integration.services.lifecycle.test_retention import Following, arrive, collector, correct, rule

__all__ = ["room"]


def deep(*titles: str, name: str = "deep first") -> RetentionRule:
    return rule(Period(days=1), name, deletes=True, committed_by=titles or ("DEEP",))


def deletions(room: Room, *rules: RetentionRule) -> Deletions:
    elsewhere = CommittedElsewhere(room.objects)
    return Deletions(room.log, room.index, room.clock, GRACE, patience=0.0, rules=rules, elsewhere=elsewhere)


async def commit(
    room: Room, *events: InstanceStored, by: str = "DEEP", missing: tuple[str, ...] = (), transaction: str = "2.25.1"
) -> None:
    elsewhere = Elsewhere(room.objects, room.log, room.clock, Metrics())
    references = tuple(CommitmentReference(event.sop_class_uid, event.sop_instance_uid) for event in events)
    request = RequestedTransaction(
        *(transaction, "default", "", events[0].study_instance_uid, "r", by, 0, 0, 1, 1),
        asks_all=True,
        is_last=False,
        references=references,
        digests=tuple(event.digest for event in events),
    )
    await elsewhere.ask(request)
    failed = [CommitmentFailure(event.sop_class_uid, uid, 0x0112) for event in events for uid in missing]
    await elsewhere.reported(by, EventInformation(transaction, frozenset(references), tuple(failed)))


async def test_nothing_of_a_study_goes_before_the_archive_has_committed_all_of_it(room: Room) -> None:
    first, second = await arrive(room, "1.2", 1), await arrive(room, "1.2", 2)
    await room.follow()
    with pytest.raises(Held, match="DEEP has not committed 2 of 2 objects: rule 'deep first' waits for that"):
        await deletions(room, deep()).delete(DeletionTarget("1.2"), ASKED)
    await commit(room, first, second, missing=(second.sop_instance_uid,))
    for final in (False, True):
        with pytest.raises(Held, match="DEEP has not committed 1 of 2 objects"):
            await deletions(room, deep()).delete(DeletionTarget("1.2"), ASKED, final=final)
    await commit(room, second, transaction="2.25.2")
    await deletions(room, deep()).delete(DeletionTarget("1.2"), ASKED)


async def test_each_archive_that_any_rule_names_must_have_committed(room: Room) -> None:
    event = await arrive(room, "1.2", 1)
    await room.follow()
    rules = deep("DEEP"), deep("OTHER", name="twice")
    await commit(room, event)
    with pytest.raises(Held, match="OTHER has not committed 1 of 1 objects: rule 'twice'"):
        await deletions(room, *rules).delete(DeletionTarget("1.2"), ASKED)
    await commit(room, event, by="OTHER", transaction="2.25.2")
    await deletions(room, *rules).delete(DeletionTarget("1.2"), ASKED)


async def test_what_came_again_with_other_bytes_or_is_not_indexed_is_not_committed(room: Room) -> None:
    event = await arrive(room, "1.2", 1)
    await room.follow()
    await commit(room, replace(event, digest="blake3:" + "00" * 32))
    with pytest.raises(Held, match="1 of 1"):
        await deletions(room, deep()).delete(DeletionTarget("1.2"), ASKED)
    await commit(room, event, transaction="2.25.2")
    await arrive(room, "1.2", 2)  # not followed
    with pytest.raises(Held, match="1 of 2"):
        await deletions(room, deep()).delete(DeletionTarget("1.2"), ASKED)


async def test_a_correction_leads_no_study_out_of_a_rule(room: Room) -> None:
    await arrive(room, "1.2", 1)
    await room.follow()
    of_then = replace(deep(), studies=studies_where(["StudyDate=20200101"], "default", STANDARD))
    await correct(room, "1.2", {"00080020": {"vr": "DA", "Value": ["19900101"]}})
    with pytest.raises(Held, match="DEEP has not committed 1 of 1 objects"):
        await deletions(room, of_then).delete(DeletionTarget("1.2"), ASKED)
    of_now = replace(deep(), studies=studies_where(["StudyDate=19900101"], "default", STANDARD))
    with pytest.raises(Held, match="DEEP has not committed 1 of 1 objects"):
        await deletions(room, of_now).delete(DeletionTarget("1.2"), ASKED)


async def test_a_schedule_leaves_out_what_is_not_committed_and_says_so(room: Room) -> None:
    event = await arrive(room, "1.2", 1)
    await arrive(room, "1.3", 2)
    await room.follow()
    await commit(room, event)
    protection = Protection(room.log, room.index, room.clock, [deep()], CommittedElsewhere(room.objects))
    expiry = Expiry(room.index, Following(room, (deep(),)), protection, room.clock, float("inf"))
    going = {study.uid: study.uncommitted async for study in expiry.going(date(2023, 11, 14))}
    assert going["1.2"] == ""
    assert going["1.3"].startswith("DEEP has not committed 1 of 1 objects")
    done = await expiry.expire()
    assert (done.studies, list(done.held)) == (1, ["1.3"])


async def test_what_was_deleted_before_there_was_the_rule_is_collected_when_it_is_committed(room: Room) -> None:
    first, second = await arrive(room, "1.2", 1), await arrive(room, "1.2", 2)
    await room.follow()
    await deletions(room).delete(DeletionTarget("1.2"), ASKED)
    await room.follow()
    await commit(room, first)
    room.clock.advance(GRACE + 3600)
    done = await collector(room, deep()).collect()
    assert (done.objects, done.held) == (1, 1)
    await room.follow()
    await commit(room, second, transaction="2.25.2")
    done = await collector(room, deep()).collect()
    assert (done.objects, done.held) == (1, 0)


async def test_where_nobody_knows_what_is_committed_nothing_counts_as_committed(room: Room) -> None:
    event = await arrive(room, "1.2", 1)
    await room.follow()
    await commit(room, event)
    blind = Deletions(room.log, room.index, room.clock, GRACE, patience=0.0, rules=[deep()])
    with pytest.raises(Held):
        await blind.delete(DeletionTarget("1.2"), ASKED)


async def test_a_report_of_somebody_who_was_not_asked_commits_nothing(room: Room) -> None:
    event = await arrive(room, "1.2", 1)
    await room.follow()
    elsewhere = Elsewhere(room.objects, room.log, room.clock, Metrics())
    reference = CommitmentReference(event.sop_class_uid, event.sop_instance_uid)
    with pytest.raises(PeerError) as refused:
        await elsewhere.reported("DEEP", EventInformation("2.25.1", frozenset([reference]), ()))
    assert refused.value.dicom_status == 0x0115
    assert not await CommittedElsewhere(room.objects).of_study("default", "1.2")


async def test_damaged_records_commit_nothing(room: Room) -> None:
    event = await arrive(room, "1.2", 1)
    await room.follow()
    await commit(room, event)
    (stat,) = [stat async for stat in room.objects.list("state/elsewhere/committed/")]
    await room.objects.put(stat.key, [b"nonsense"])
    with pytest.raises(Held):
        await deletions(room, deep()).delete(DeletionTarget("1.2"), ASKED)
