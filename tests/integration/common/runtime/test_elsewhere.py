"""What follows from a report on what we asked another archive for, on real embedded stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import SqliteLog, open_sqlite_log
from gantry.common.clock import ManualClock
from gantry.common.commitment.requested import Answered, RequestedTransaction
from gantry.common.commitment.wire import EventInformation
from gantry.common.errors import DependencyUnavailable, PeerError
from gantry.common.events import (
    TOPICS,
    CommitmentFailure,
    CommitmentReference,
    Event,
    InstancesCommittedElsewhere,
    RouteDelayed,
    RouteEnded,
    RouteProgressed,
    RouteRequested,
    decode,
)
from gantry.common.ports.blobs import BlobStore
from gantry.common.runtime.elsewhere import CommittedElsewhere, Elsewhere
from gantry.common.telemetry.metrics import Metrics

CT = "1.2.840.10008.5.1.4.1.1.2"
ONE, TWO = CommitmentReference(CT, "1.5.1"), CommitmentReference(CT, "1.5.2")
ASKED = RequestedTransaction(
    *("2.25.7", "default", "trace", "1.2.3", "a1", "DEEP"),
    number=4,
    failures_before=0,
    at=5,
    again=30_000_000,
    asks_all=True,
    is_last=False,
    references=(ONE, TWO),
    digests=("d1", "d2"),
)
ALL = EventInformation("2.25.7", frozenset([ONE, TWO]), ())
HALF = EventInformation("2.25.7", frozenset([ONE]), (CommitmentFailure(CT, "1.5.2", 0x0112),))


@dataclass
class Room:
    objects: BlobStore
    log: SqliteLog
    clock: ManualClock
    metrics: Metrics

    @property
    def elsewhere(self) -> Elsewhere:
        return Elsewhere(self.objects, self.log, self.clock, self.metrics)

    async def of(self, kind: type[Event]) -> list[Event]:
        return [decode(record.payload) async for record in self.log.replay(TOPICS[kind].name)]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    clock = ManualClock()
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    try:
        yield Room(objects, log, clock, Metrics())
    finally:
        await log.close()
        await objects.close()


async def reported(room: Room, request: RequestedTransaction, report: EventInformation) -> list[Event]:
    """What is on the log of the route afterwards."""
    await room.elsewhere.ask(request)
    await room.elsewhere.reported("DEEP", report)
    return await room.of(RouteRequested)


async def test_a_route_has_ended_when_all_of_it_is_committed(room: Room) -> None:
    progressed, ended = await reported(room, ASKED, ALL)
    assert isinstance(progressed, RouteProgressed)
    assert isinstance(ended, RouteEnded)
    assert (progressed.taken, ended.outcome, ended.completed, ended.failed) == (("1.5.1", "1.5.2"), "delivered", 2, 0)
    (fact,) = await room.of(InstancesCommittedElsewhere)
    assert isinstance(fact, InstancesCommittedElsewhere)
    assert (fact.ae_title, fact.committed, fact.digests, fact.requested_at) == ("DEEP", (ONE, TWO), ("d1", "d2"), 5)
    committed = await CommittedElsewhere(room.objects).of_study("default", "1.2.3")
    assert committed == {"DEEP": {("1.5.1", "d1"), ("1.5.2", "d2")}}


async def test_a_de_identified_copy_is_on_record_and_lets_no_object_go(room: Room) -> None:
    request = replace(ASKED, sent_as=("2.25.1", "2.25.2"))
    report = replace(ALL, committed=frozenset(request.as_sent))
    _, ended = await reported(room, request, report)
    assert isinstance(ended, RouteEnded)
    assert (ended.outcome, ended.completed) == ("delivered", 2)
    (fact,) = await room.of(InstancesCommittedElsewhere)
    assert isinstance(fact, InstancesCommittedElsewhere)
    assert fact.committed == (ONE, TWO)
    assert await CommittedElsewhere(room.objects).of_study("default", "1.2.3") == {}


async def test_what_is_not_committed_is_tried_again_later_and_counts_more_than_its_own_try(room: Room) -> None:
    progressed, delayed = await reported(room, ASKED, HALF)
    assert isinstance(progressed, RouteProgressed)
    assert isinstance(delayed, RouteDelayed)
    assert (progressed.taken, delayed.attempts) == (("1.5.1",), 6)
    assert delayed.again - room.clock.now_us() == 30_000_000
    assert delayed.why == "DEEP did not commit 1 of 2 instances: 0112H no such object instance"
    assert await CommittedElsewhere(room.objects).of_study("default", "1.2.3") == {"DEEP": {("1.5.1", "d1")}}


async def test_the_last_try_that_names_failures_ends_the_route(room: Room) -> None:
    *_, ended = await reported(room, replace(ASKED, is_last=True), HALF)
    assert isinstance(ended, RouteEnded)
    assert (ended.outcome, ended.completed, ended.failed) == ("failed", 1, 1)


async def test_of_a_large_study_the_next_part_is_asked_for_at_once(room: Room) -> None:
    *_, delayed = await reported(room, replace(ASKED, asks_all=False), ALL)
    assert isinstance(delayed, RouteDelayed)
    assert (delayed.attempts, delayed.again) == (6, room.clock.now_us())


async def test_many_instances_are_in_several_records(room: Room) -> None:
    references = tuple(CommitmentReference(CT, f"1.5.{number}") for number in range(9_000))
    request = replace(ASKED, references=references, digests=("d",) * 9_000)
    events = await reported(room, request, EventInformation("2.25.7", frozenset(references), ()))
    assert [len(event.taken) for event in events if isinstance(event, RouteProgressed)] == [4_000, 4_000, 1_000]


async def test_a_report_that_comes_again_says_the_same_and_changes_nothing(room: Room) -> None:
    before = await reported(room, ASKED, HALF)
    again = await room.elsewhere.reported("DEEP", ALL)  # another process, and it has changed its mind
    assert again == Answered((ONE,), ("d1",), HALF.failed)
    assert await room.of(RouteRequested) == before


@pytest.mark.parametrize(("sender", "transaction"), [("OTHER", "2.25.7"), ("DEEP", "2.25.8")])
async def test_nobody_else_reports_and_on_nothing_else(room: Room, sender: str, transaction: str) -> None:
    await room.elsewhere.ask(ASKED)
    with pytest.raises(PeerError):
        await room.elsewhere.reported(sender, replace(ALL, transaction_uid=transaction))
    assert not await room.of(RouteRequested)
    assert not await CommittedElsewhere(room.objects).of_study("default", "1.2.3")


async def test_a_transaction_that_cannot_be_read_is_to_be_reported_on_again(room: Room) -> None:
    await room.elsewhere.ask(ASKED)
    (stat,) = [stat async for stat in room.objects.list("state/elsewhere/asked/")]
    await room.objects.put(stat.key, [b"nonsense"])
    with pytest.raises(DependencyUnavailable):
        await room.elsewhere.reported("DEEP", ALL)


async def test_a_transaction_is_known_with_its_answer_and_one_that_was_never_asked_is_not(room: Room) -> None:
    assert await room.elsewhere.before("2.25.7") is None
    await room.elsewhere.ask(ASKED)
    before = await room.elsewhere.before("2.25.7")
    assert before is not None
    assert (before.asked, before.answered) == (ASKED, None)
    await room.elsewhere.reported("DEEP", ALL)
    after = await room.elsewhere.before("2.25.7")
    assert after is not None
    assert after.answered == Answered((ONE, TWO), ("d1", "d2"), ())
