"""Unified Procedure Steps over DIMSE (PS3.4 CC), with pynetdicom as the scheduler and as the worker."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import generate_uid
from pynetdicom.sop_class import UnifiedProcedureStepPush, UnifiedProcedureStepQuery

from tests.support.archive import RunningArchive
from tests.support.worker import REQUEST_CANCEL, SUBSCRIBE, Worker, code, performed, set_, step
from tests.support.workitems import WorkitemsClient

NUMBERS = count(1)
MINE, OTHER = generate_uid(), generate_uid()
PEERS = [
    "{ae_title: WORKER, host: 127.0.0.1, may: [ups]}",
    "{ae_title: MODALITY, host: 127.0.0.1, may: [store, worklist, mpps]}",
    "{ae_title: SOME, host: 127.0.0.1, may: [ups, find], sees: [{patient: [P1]}]}",
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    running = RunningArchive(tmp_path_factory.mktemp("ups"), lab=False)
    running.write_policy(PEERS, "http: {may_operate: [loopback], may_order: [loopback]}\n")
    running.start()
    yield running
    assert running.alive, running.log.read_text()
    running.stop()


@pytest.fixture
def worker(archive: RunningArchive) -> Iterator[Worker]:
    with Worker(archive.port) as made:
        yield made


@pytest.fixture
def uid() -> str:
    return f"1.2.840.88.{next(NUMBERS)}"


def test_a_step_is_pushed_found_claimed_performed_and_completed(
    archive: RunningArchive, worker: Worker, uid: str
) -> None:
    assert worker.create(uid, step()).Status == 0
    status, matches = worker.find(ProcedureStepState="SCHEDULED", PatientName="M*", SOPInstanceUID=uid)
    assert status == 0
    assert [(match.SOPInstanceUID, str(match.PatientName)) for match in matches] == [(uid, "Müller^Eva")]
    assert worker.change_state(uid, "IN PROGRESS", MINE) == 0
    assert worker.change_state(uid, "COMPLETED", MINE) == 0xC304
    assert worker.set(uid, performed(MINE)).Status == 0
    assert worker.change_state(uid, "COMPLETED", MINE) == 0
    assert worker.change_state(uid, "COMPLETED", MINE) == 0xB306
    status, shown = worker.get(uid)
    assert status.Status == 0
    assert shown is not None
    assert shown.ProcedureStepState == "COMPLETED"
    assert shown.SOPClassUID == UnifiedProcedureStepPush
    assert "TransactionUID" not in shown
    assert worker.find(SOPInstanceUID=uid)[1][0].TransactionUID == ""
    assert worker.find(SOPInstanceUID=uid, TransactionUID=OTHER)[1], "nobody finds out a transaction uid by asking"
    assert WorkitemsClient(archive.http_port).state(uid) == "COMPLETED"
    assert archive.metric("gantry_workitem_requests_total") > 0


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (step(ProcedureStepState="IN PROGRESS"), 0xC309),
        (step(ProcedureStepLabel=""), 0x0121),
        (step(WorklistLabel=""), 0xB300),
        (step(TransactionUID=MINE), 0x0106),
        (step(InputReadinessState="SOON"), 0x0106),
    ],
)
def test_n_create_is_answered_as_the_table_says(worker: Worker, uid: str, data: Dataset, status: int) -> None:
    answer = worker.create(uid, data)
    assert answer.Status == status
    if status != 0xB300:
        assert answer.ErrorComment
    assert worker.get(uid)[0].Status == (0 if status == 0xB300 else 0xC307)


def test_statuses_of_the_others(worker: Worker, uid: str) -> None:
    missing = "1.2.840.88.404"
    assert worker.get(missing)[0].Status == 0xC307
    assert worker.set(missing, set_("", ProcedureStepLabel="New")).Status == 0xC307
    assert worker.change_state(missing, "IN PROGRESS", MINE) == 0xC307
    assert worker.request_cancel(missing) == 0xC307
    assert worker.create(uid, step()).Status == 0
    assert worker.create(uid, step()).Status == 0x0111
    assert worker.change_state(uid, "COMPLETED", MINE) == 0xC310
    assert worker.change_state(uid, "SCHEDULED", MINE) == 0xC303
    assert worker.change_state(uid, "IN PROGRESS", "") == 0xC301
    assert worker.set(uid, set_(MINE)).Status == 0xC310
    assert worker.set(uid, set_("", ProcedureStepLabel="New")).Status == 0
    assert worker.change_state(uid, "IN PROGRESS", MINE) == 0
    assert worker.change_state(uid, "IN PROGRESS", OTHER) == 0xC301
    assert worker.change_state(uid, "IN PROGRESS", MINE) == 0xC302
    assert worker.set(uid, set_(OTHER)).Status == 0xC301
    assert worker.request_cancel(uid, "too late") == 0
    reasons = Dataset()
    reasons.ProcedureStepDiscontinuationReasonCodeSequence = Items([code("LATE")])
    assert worker.set(uid, set_(MINE, ProcedureStepProgressInformationSequence=Items([reasons]))).Status == 0
    assert worker.change_state(uid, "CANCELED", MINE) == 0
    assert worker.change_state(uid, "CANCELED", MINE) == 0xB304
    assert worker.change_state(uid, "COMPLETED", MINE) == 0xC300
    assert worker.set(uid, set_(MINE)).Status == 0xC300
    assert worker.request_cancel(uid) == 0xB304


def test_what_nobody_claimed_is_cancelled_when_that_is_asked_for(worker: Worker, uid: str) -> None:
    assert worker.create(uid, step()).Status == 0
    assert worker.request_cancel(uid, "not needed") == 0
    _, shown = worker.get(uid, 0x00741000, 0x00741002, 0x00081195)
    assert shown is not None
    assert shown.ProcedureStepState == "CANCELED"
    assert shown.ProcedureStepProgressInformationSequence[0].ReasonForCancellation == "not needed"
    assert shown.TransactionUID == ""


def test_operations_and_actions_belong_to_their_sop_class(worker: Worker, uid: str) -> None:
    assert worker.create(uid, step()).Status == 0
    assert worker.act(uid, REQUEST_CANCEL, None).Status == 0x0123
    assert worker.act(uid, SUBSCRIBE, None).Status == 0x0123
    assert worker.watch(uid) == 0xC315, "routing.workitems is false"
    assert worker.watch(uid, title="far too long a title") == 0x0115
    assert worker.act(uid, 9, None).Status == 0x0123
    assert worker.act(uid, 1, None, UnifiedProcedureStepQuery).Status == 0x0211
    assert worker.find(UnifiedProcedureStepQuery, SOPInstanceUID=uid)[1][0].ProcedureStepState == "SCHEDULED"


def test_of_workers_that_claim_one_step_at_once_one_gets_it(archive: RunningArchive, worker: Worker, uid: str) -> None:
    assert worker.create(uid, step()).Status == 0

    def claim(transaction: str) -> int:
        with Worker(archive.port) as performer:
            return performer.change_state(uid, "IN PROGRESS", transaction)

    with ThreadPoolExecutor(8) as workers:
        statuses = sorted(workers.map(claim, [generate_uid() for _ in range(8)]))
    assert statuses == [0] + [0xC301] * 7


def test_who_may_not_gets_no_context_and_who_sees_some_studies_no_workitem(
    archive: RunningArchive, worker: Worker, uid: str
) -> None:
    assert worker.create(uid, step()).Status == 0
    with Worker(archive.port, "MODALITY") as modality:
        assert modality.accepted == set()
    with Worker(archive.port, "SOME") as reader:
        assert reader.get(uid)[0].Status == 0x0124
        assert reader.find(SOPInstanceUID=uid) == (0x0124, [])


def test_what_was_done_and_looked_at_is_on_record(archive: RunningArchive, uid: str) -> None:
    client = WorkitemsClient(archive.http_port)
    with Worker(archive.port) as worker:  # what is asked on one association is written when that is over
        assert worker.create(uid, step()).Status == 0
        assert worker.change_state(uid, "IN PROGRESS", MINE) == 0
        assert worker.get(uid)[0].Status == 0
        assert worker.find(SOPInstanceUID=uid)[0] == 0
    assert client.ask("GET", f"/{uid}")[0] == 200
    assert client.ask("GET", f"?SOPInstanceUID={uid}")[0] == 200
    assert client.ask("POST", f"/{uid}/subscribers/BOARD")[0] == 201
    wanted = {
        ("procedure", "create workitem", "WORKER"),
        ("procedure", "change workitem state", "WORKER"),
        ("procedure", "subscribe to workitems", "loopback"),
        ("procedure-read", "N-GET", "WORKER"),
        ("procedure-read", "GET workitem", "loopback"),
        ("query", "C-FIND", "WORKER"),
        ("query", "GET search workitems", "loopback"),
    }
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/operations/audit?limit=1000"
    deadline = time.monotonic() + 30
    while True:
        with urllib.request.urlopen(url, timeout=20) as answer:
            records = json.loads(answer.read())["records"]
        operations = {
            (record["kind"], record["operation"], record["requestor"])
            for record in records
            if uid in json.dumps(record)
        }
        if wanted <= operations:
            return
        assert time.monotonic() < deadline, wanted - operations
        time.sleep(0.3)
