"""`gantry export --worklist`: exports that rules and foreign schedulers ask for, by workitems."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as FIND
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as GET
from pynetdicom.sop_class import UnifiedProcedureStepPull

from tests.e2e.test_exporting import exported, files, gantry
from tests.support.archive import RunningArchive
from tests.support.objects import data_set, write
from tests.support.pynetdicom_peers import Scp
from tests.support.worker import Worker, step
from tests.support.workitems import WorkitemsClient

RULE = (
    "http: {may_order: [loopback]}\n"
    "completion: {quiet: 1}\n"
    "routing: {rules: [{name: teaching, where: ['PatientID=P1'], workitem: {"
    "code: 'EXPORT^99LOCAL^Export', worklist_label: TEACHING}}]}\n"
)
STUDIES, AWAY = ("1.2.3", "1.2.4"), "1.2.5"
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[RunningArchive]:
    (tmp_path / "archive").mkdir()
    running = RunningArchive(tmp_path / "archive")
    running.write_policy([], RULE)
    running.start()
    try:
        yield running
        assert running.alive, running.log.read_text()
    finally:
        running.stop()


def stored(archive: RunningArchive, folder: Path, patient: str, count: int) -> str:
    study, series = generate_uid(), generate_uid()
    for number in range(1, count + 1):
        write(folder, data_set(study=study, series=series, number=number, patient=patient))
    assert gantry("store", archive.address, folder).returncode == 0
    return study


def asked(label: str, *studies: str) -> Dataset:
    inputs = []
    for study in studies:
        item = Dataset()
        item.TypeOfInstances, item.StudyInstanceUID, item.SeriesInstanceUID = "DICOM", study, "1.2.3"
        item.ReferencedSOPSequence = Items([])
        inputs.append(item)
    return step(WorklistLabel=label, InputInformationSequence=Items(inputs))


def scheduled(client: WorkitemsClient, label: str, count: int) -> list[str]:
    """The UIDs of so many scheduled workitems, once there are."""
    deadline = time.monotonic() + 40
    while True:
        status, answer, _ = client.ask("GET", f"?WorklistLabel={label}&ProcedureStepState=SCHEDULED")
        uids = [match["00080018"]["Value"][0] for match in answer or []] if status == 200 else []
        if len(uids) == count:
            return uids
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)


def test_what_a_rule_asks_for_is_exported_and_completed(archive: RunningArchive, tmp_path: Path) -> None:
    client = WorkitemsClient(archive.http_port)
    stored(archive, tmp_path / "in", "P1", 3)
    (uid,) = scheduled(client, "TEACHING", 1)
    done = exported(archive, tmp_path / "to", "--worklist", "TEACHING", "--deidentify")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert len(files(tmp_path / "to")) == 3
    assert client.state(uid) == "COMPLETED"
    _, (document,), _ = client.ask("GET", f"/{uid}")
    (performed,) = document["00741216"]["Value"]
    assert performed["00404019"]["Value"][0]["00080100"]["Value"] == ["EXPORT"], "the code that was scheduled"
    assert "3 instances of 1 studies exported" in json.dumps(document)
    again = exported(archive, tmp_path / "to", "--worklist", "TEACHING", "--deidentify")
    assert (again.returncode, again.stdout) == (0, "no workitem of TEACHING is scheduled\n"), again


def test_what_cannot_be_exported_is_cancelled_with_its_reason(archive: RunningArchive, tmp_path: Path) -> None:
    client = WorkitemsClient(archive.http_port)
    study = stored(archive, tmp_path / "in", "P2", 2)
    good, unknown, empty, other, taken = (generate_uid() for _ in range(5))
    with Worker(archive.port) as scheduler:
        for uid, wanted in (
            (good, asked("CD", study)),
            (unknown, asked("CD", study, "1.2.404")),
            (empty, asked("CD")),
            (other, asked("ELSEWHERE", study)),
            (taken, asked("CD", study)),
        ):
            assert scheduler.create(uid, wanted).Status == 0
        assert scheduler.change_state(taken, "IN PROGRESS", generate_uid()) == 0
    done = exported(archive, tmp_path / "to", "--worklist", "CD")
    assert done.returncode == 1, done
    assert len(files(tmp_path / "to")) == 2
    assert {uid: client.state(uid) for uid in (good, unknown, empty, other, taken)} == {
        good: "COMPLETED",
        unknown: "CANCELED",
        empty: "CANCELED",
        other: "SCHEDULED",
        taken: "IN PROGRESS",
    }
    _, document, _ = client.ask("GET", f"/{unknown}")
    assert "the archive does not have this study" in json.dumps(document)


def test_a_target_that_is_refused_leaves_workitems_scheduled(archive: RunningArchive, tmp_path: Path) -> None:
    client, uid = WorkitemsClient(archive.http_port), generate_uid()
    study = stored(archive, tmp_path / "in", "P3", 1)
    with Worker(archive.port) as scheduler:
        assert scheduler.create(uid, asked("CD", study)).Status == 0
    (tmp_path / "file").write_text("not a folder")
    for where, code, words in (
        (tmp_path / "file" / "to", 1, "cannot be written"),
        (tmp_path / "in", 3, "it holds something else"),
        (tmp_path / "to.zip", 2, "--worklist needs a folder"),
    ):
        done = exported(archive, where, "--worklist", "CD")
        assert (done.returncode, client.state(uid)) == (code, "SCHEDULED"), done
        assert words in done.stderr.replace("\n", " ")
    assert exported(archive, tmp_path / "to", "--worklist", "CD").returncode == 0
    assert client.state(uid) == "COMPLETED"


# ---- at an archive of somebody else's


class OtherArchive(Scp):
    """It holds an instance of each of two studies, and workitems that ask for studies. `loses` is how many answers
    to changes of state are lost, `refuses` the statuses of its answers, by workitem."""

    def __init__(self, workitems: dict[str, list[str]]) -> None:
        self.workitems = workitems
        self.states = dict.fromkeys(workitems, "SCHEDULED")
        self.reasons: dict[str, str] = {}
        self.loses: dict[str, int] = {}
        self.refuses: dict[tuple[str, str], int] = {}
        self._locks: dict[str, str] = {}
        self._held = {study: data_set(study=study, series=f"{study}.1", instance=f"{study}.1.1") for study in STUDIES}
        handlers = [
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_GET, self._get),
            (evt.EVT_N_SET, self._set),
            (evt.EVT_N_ACTION, self._action),
        ]
        super().__init__("OTHER", handlers=handlers, contexts=[UnifiedProcedureStepPull, FIND, GET])

    def performed_by_us(self, where: Path) -> Done:
        return gantry("export", self.address, "--worklist", "CD", "--to", where, "--timeout", "5")

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        wanted = event.identifier
        if "QueryRetrieveLevel" not in wanted:
            for uid, studies in self.workitems.items():
                answer = asked("CD", *studies)
                answer.SOPInstanceUID = uid
                yield 0xFF00, answer
        elif wanted.StudyInstanceUID == AWAY:
            yield 0xA700, None
        elif dataset := self._held.get(wanted.StudyInstanceUID):
            answer = Dataset()
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
                setattr(answer, keyword, dataset[keyword].value)
            answer.QueryRetrieveLevel = wanted.QueryRetrieveLevel
            yield 0xFF00, answer

    def _get(self, event: evt.Event) -> Iterator[Any]:
        yield 1
        yield 0xFF00, self._held[event.identifier.StudyInstanceUID]

    def _set(self, event: evt.Event) -> tuple[int, None]:
        request: Any = event.request
        uid, modification = str(request.RequestedSOPInstanceUID), event.modification_list
        if modification.TransactionUID != self._locks.get(uid):
            return 0xC301, None
        for item in modification.ProcedureStepProgressInformationSequence:
            self.reasons[uid] = str(item.get("ReasonForCancellation", ""))
        if self.refuses.get((uid, "LOST")):
            event.assoc.abort()
        return self.refuses.get((uid, "SET"), 0), None

    def _action(self, event: evt.Event) -> tuple[int, None]:
        request: Any = event.request
        uid, information = str(request.RequestedSOPInstanceUID), event.action_information
        state = str(information.ProcedureStepState)
        if status := self.refuses.get((uid, state), 0):
            return status, None
        if self._locks.setdefault(uid, information.TransactionUID) != information.TransactionUID:
            return 0xC301, None
        known, self.states[uid] = self.states[uid], state
        if self.loses.get(uid, 0):
            self.loses[uid] -= 1
            event.assoc.abort()
        return (0xC302 if known == state else 0), None


def test_one_bad_workitem_is_cancelled_alone_with_its_reason(tmp_path: Path) -> None:
    """The first one too, at which nothing has been exported yet."""
    wanted = {"1.9.1": [AWAY], "1.9.2": ["1.2.x"], "1.9.3": [STUDIES[0]], "1.9.4": [STUDIES[1], STUDIES[0]]}
    with OtherArchive(wanted) as other:
        done = other.performed_by_us(tmp_path / "to")
    assert done.returncode == 1, done
    assert other.states == {
        "1.9.1": "CANCELED",
        "1.9.2": "CANCELED",
        "1.9.3": "COMPLETED",
        "1.9.4": "COMPLETED",
    }, done
    assert "a query was answered with" in other.reasons["1.9.1"]
    assert other.reasons["1.9.2"] == "'1.2.x' is not a Study Instance UID"
    assert len(files(tmp_path / "to")) == 2


def test_a_claim_whose_answer_is_lost_is_ours_all_the_same(tmp_path: Path) -> None:
    with OtherArchive({"1.9.1": [STUDIES[0]], "1.9.2": [STUDIES[1]]}) as other:
        other.loses["1.9.2"] = 1
        done = other.performed_by_us(tmp_path / "to")
    assert done.returncode == 0, done
    assert set(other.states.values()) == {"COMPLETED"}
    assert len(files(tmp_path / "to")) == 2


def test_an_archive_that_breaks_while_it_is_asked_leaves_what_was_claimed_completed(tmp_path: Path) -> None:
    with OtherArchive({"1.9.1": [STUDIES[0]], "1.9.2": [STUDIES[1]], "1.9.3": [STUDIES[1]]}) as other:
        other.loses["1.9.2"] = 2
        done = other.performed_by_us(tmp_path / "to")
    assert done.returncode == 3, done
    assert "workitem 1.9.2: it may stay IN PROGRESS" in done.stderr
    assert other.states == {"1.9.1": "COMPLETED", "1.9.2": "IN PROGRESS", "1.9.3": "SCHEDULED"}, done


@pytest.mark.parametrize("fault", ["SET", "COMPLETED", "LOST"])
def test_a_workitem_that_cannot_be_completed_is_named(tmp_path: Path, fault: str) -> None:
    with OtherArchive({"1.9.1": [STUDIES[0]], "1.9.2": [STUDIES[1]]}) as other:
        other.refuses["1.9.1", fault] = 0x0110
        done = other.performed_by_us(tmp_path / "to")
    assert done.returncode == 1, done
    assert "workitem 1.9.1 stays IN PROGRESS: " in done.stderr
    assert other.states == {"1.9.1": "IN PROGRESS", "1.9.2": "COMPLETED"}, done


def test_an_archive_that_gives_no_studies_has_no_workitem_cancelled(tmp_path: Path) -> None:
    other = OtherArchive({"1.9.1": [STUDIES[0]]})
    other.ae.remove_supported_context(GET)
    with other:
        done = other.performed_by_us(tmp_path / "to")
    assert done.returncode == 3, done
    assert other.states == {"1.9.1": "SCHEDULED"}


def test_a_worklist_is_named_alone() -> None:
    for more in (["1.2.3"], ["-k", "PatientID=1"], ["--dry-run"]):
        done = gantry("export", "GANTRY@127.0.0.1:1", "--to", "x", "--worklist", "CD", *more)
        assert done.returncode == 2, done
