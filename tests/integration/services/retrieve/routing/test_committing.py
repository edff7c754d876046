"""One attempt to have a destination take responsibility, against destinations that behave and that do not."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance, Verification

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.commitment.requested import transaction_of
from gantry.common.events import RouteRequested
from gantry.common.net import Peer
from gantry.common.ports.index import Location
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.elsewhere import Elsewhere
from gantry.common.telemetry.metrics import Metrics
from gantry.services.retrieve.routing import committing
from gantry.services.retrieve.routing.committing import CommitmentRequestor, failures_of, not_committed
from tests.support.ports import free_port
from tests.support.pynetdicom_peers import Scp

CT = "1.2.840.10008.5.1.4.1.1.2"
ROUTE = RouteRequested("default", "t", "1.2.3", "a1", "deep", "DEEP", "a", "b", 1, kind="commitment", commits=True)


def location(number: int) -> Location:
    uid = f"1.2.3.1.{number}"
    return Location("1.2.3", "1.2.3.1", uid, CT, "1.2.840.10008.1.2.1", "key", 0, 10, f"blake3:{number}")


LOCATIONS = [location(1), location(2)]


@pytest.fixture
async def elsewhere(tmp_path: Path) -> AsyncIterator[Elsewhere]:
    clock = SystemClock()
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    try:
        yield Elsewhere(objects, log, clock, Metrics())
    finally:
        await log.close()
        await objects.close()


def requestor(elsewhere: Elsewhere, wait: float = 5.0) -> CommitmentRequestor:
    return CommitmentRequestor(elsewhere, SystemClock(), 5.0, wait, 100.0, Delays(30.0, 60.0), 5)


class Destination:
    """Answers N-ACTION with a status, and reports on the same association, so often as it is told."""

    def __init__(self, status: int = 0, reports: int = 1, failed: tuple[str, ...] = ()) -> None:
        self.status, self.reports, self.failed = status, reports, failed
        self.asked: list[Dataset] = []
        self.answers: list[int] = []

    def action(self, event: evt.Event) -> tuple[int, None]:
        self.asked.append(event.action_information)
        if self.reports:
            threading.Thread(target=self._report, args=(event.assoc, event.action_information), daemon=True).start()
        return self.status, None

    def _report(self, association: Any, request: Dataset) -> None:
        result = Dataset()
        result.TransactionUID = request.TransactionUID
        failed = [item for item in request.ReferencedSOPSequence if item.ReferencedSOPInstanceUID in self.failed]
        result.ReferencedSOPSequence = [item for item in request.ReferencedSOPSequence if item not in failed]
        for item in failed:
            item.FailureReason = 0x0112
        if failed:
            result.FailedSOPSequence = failed
        kind, instance = (2 if failed else 1), StorageCommitmentPushModelInstance
        for _ in range(self.reports):
            status, _ = association.send_n_event_report(result, kind, StorageCommitmentPushModel, instance)
            self.answers.append(int(status.Status) if "Status" in status else -1)

    def scp(self) -> Scp:
        return Scp("DEEP", handlers=[(evt.EVT_N_ACTION, self.action)])


def peer(port: int) -> Peer:
    return Peer("127.0.0.1", port, "DEEP", "GANTRY", connect_timeout=2.0, associate_timeout=5.0)


async def test_a_report_on_the_same_association_is_the_answer(elsewhere: Elsewhere) -> None:
    deep = Destination()
    with deep.scp() as scp:
        attempted = await requestor(elsewhere).attempt(ROUTE, peer(scp.port), LOCATIONS, 0, None)
    assert (attempted.answered, attempted.waits, attempted.is_done) == (True, 0.0, False)
    (request,) = deep.asked
    assert request.TransactionUID == transaction_of("a1", 0)
    assert [item.ReferencedSOPInstanceUID for item in request.ReferencedSOPSequence] == ["1.2.3.1.1", "1.2.3.1.2"]
    before = await requestor(elsewhere).before(ROUTE, 1)
    assert before is not None
    assert before.answered is not None
    assert before.answered.digests == ("blake3:1", "blake3:2")


async def test_without_a_report_the_association_is_closed_and_it_is_waited_for(elsewhere: Elsewhere) -> None:
    with Destination(reports=0).scp() as scp:
        attempted = await requestor(elsewhere, 0.1).attempt(ROUTE, peer(scp.port), LOCATIONS, 0, None)
    assert not attempted.answered
    assert 50.0 <= attempted.waits <= 100.0
    assert attempted.why == "DEEP was asked for storage commitment of 2 instances and has not reported"


async def test_a_transaction_that_is_known_already_was_asked_before(elsewhere: Elsewhere) -> None:
    with Destination(0x0131, reports=0).scp() as scp:
        attempted = await requestor(elsewhere, 0.1).attempt(ROUTE, peer(scp.port), LOCATIONS, 0, None)
    assert attempted.waits
    assert not attempted.refused


async def test_a_refusal_is_named_with_its_status(elsewhere: Elsewhere) -> None:
    with Destination(0x0110, reports=0).scp() as scp:
        attempted = await requestor(elsewhere).attempt(ROUTE, peer(scp.port), LOCATIONS, 0, None)
    assert (attempted.refused, attempted.waits) == (True, 0.0)
    assert attempted.why == "DEEP answered 0110H processing failure to N-ACTION"


async def test_who_does_not_know_the_sop_class_refuses_and_who_is_away_does_not(elsewhere: Elsewhere) -> None:
    ae = AE("DEEP")
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    try:
        attempted = await requestor(elsewhere).attempt(ROUTE, peer(server.server_address[1]), LOCATIONS, 0, None)
    finally:
        server.shutdown()
    assert attempted.refused
    away = await requestor(elsewhere).attempt(ROUTE, peer(free_port()), LOCATIONS, 1, None)
    assert (away.refused, away.answered, away.waits) == (False, False, 0.0)
    assert "Connection refused" in away.why


async def test_the_last_transaction_is_found_whether_it_was_reported_on_or_not(elsewhere: Elsewhere) -> None:
    deep = Destination(failed=("1.2.3.1.2",))
    requester = requestor(elsewhere)
    assert await requester.before(ROUTE, 0) is None
    with deep.scp() as scp:
        await requester.attempt(ROUTE, peer(scp.port), LOCATIONS, 3, None)
    for tried in (4, 5):  # it waits, or it was reported on
        before = await requester.before(ROUTE, tried)
        assert before is not None
        assert before.asked.number == 3
    assert not_committed(before) == {"1.2.3.1.2": 0x0112}
    assert failures_of(before) == 1
    assert await requester.before(ROUTE, 6) is None
    assert await requester.before(replace(ROUTE, route="b2"), 4) is None


async def test_reports_with_failures_are_counted_and_the_last_one_is_said_to_be(elsewhere: Elsewhere) -> None:
    deep = Destination(failed=("1.2.3.1.2",))
    requester, lasts = requestor(elsewhere), []
    with deep.scp() as scp:
        for tried in range(0, 10, 2):
            before = await requester.before(ROUTE, tried)
            await requester.attempt(ROUTE, peer(scp.port), LOCATIONS, tried, before)
            known = await requester.before(ROUTE, tried + 2)
            assert known is not None
            lasts.append((known.asked.failures_before, known.asked.is_last))
    assert lasts == [(0, False), (1, False), (2, False), (3, False), (4, True)]


async def test_of_a_large_study_a_part_is_asked_for(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committing, "_MOST_ASKED", 2)
    deep = Destination()
    with deep.scp() as scp:
        await requestor(elsewhere).attempt(ROUTE, peer(scp.port), [*LOCATIONS, location(3)], 0, None)
    assert len(deep.asked[0].ReferencedSOPSequence) == 2
    before = await requestor(elsewhere).before(ROUTE, 1)
    assert before is not None
    assert not before.asked.asks_all
