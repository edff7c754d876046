"""`gantry export --worklist`: exports that rules and foreign schedulers ask for, by workitems."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import generate_uid

from tests.e2e.test_exporting import exported, files, gantry
from tests.support.archive import RunningArchive
from tests.support.objects import data_set, write
from tests.support.worker import Worker, step
from tests.support.workitems import WorkitemsClient

RULE = (
    "http: {may_order: [loopback]}\n"
    "completion: {quiet: 1}\n"
    "routing: {rules: [{name: teaching, where: ['PatientID=P1'], workitem: {"
    "code: 'EXPORT^99LOCAL^Export', worklist_label: TEACHING}}]}\n"
)


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
        uids = [one["00080018"]["Value"][0] for one in answer or []] if status == 200 else []
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
    assert "the archive has nothing of this study" in json.dumps(document)


def test_a_target_that_cannot_be_written_leaves_no_workitem_claimed(archive: RunningArchive, tmp_path: Path) -> None:
    client, uid = WorkitemsClient(archive.http_port), generate_uid()
    study = stored(archive, tmp_path / "in", "P3", 1)
    with Worker(archive.port) as scheduler:
        assert scheduler.create(uid, asked("CD", study)).Status == 0
    (tmp_path / "file").write_text("not a folder")
    done = exported(archive, tmp_path / "file" / "to", "--worklist", "CD")
    assert done.returncode == 1, done
    assert client.state(uid) == "CANCELED"


def test_a_worklist_is_named_alone() -> None:
    for more in (["1.2.3"], ["-k", "PatientID=1"], ["--dry-run"]):
        done = gantry("export", "GANTRY@127.0.0.1:1", "--to", "x", "--worklist", "CD", *more)
        assert done.returncode == 2, done
