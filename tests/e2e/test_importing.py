"""`gantry import`: from folders, from Orthanc (C-GET, C-MOVE, DICOMweb) and from another archive of ours."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from gantry.cli.files import DicomFile
from tests.support import waiting
from tests.support.archive import IMPORTS, RunningArchive
from tests.support.asking import expect_exactly
from tests.support.dicomweb import ask_parts
from tests.support.objects import bytes_of, data_set, sample, study, write
from tests.support.orthanc import Orthanc
from tests.support.ports import free_port

AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[RunningArchive]:
    (folder := tmp_path / "target").mkdir()
    running = RunningArchive(folder)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def old(tmp_path: Path) -> Iterator[RunningArchive]:
    """Another archive, as the source."""
    (folder := tmp_path / "old").mkdir()
    running = RunningArchive(folder)
    try:
        yield running.start()
    finally:
        running.stop()


def command(archive: RunningArchive, folder: Path, *arguments: object) -> tuple[list[str], dict[str, str]]:
    words = [sys.executable, "-m", "gantry", "import", archive.address, "--job", folder / "job.db", *arguments]
    return [str(word) for word in words], {**os.environ, "PYTHONPATH": IMPORTS}


def run(archive: RunningArchive, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    words, environment = command(archive, folder, *arguments)
    return subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_folders_are_brought_in_and_what_is_new_later(archive: RunningArchive, tmp_path: Path) -> None:
    source = tmp_path / "cd"
    source.mkdir()
    files = [*study(source, 3), *study(source, 4, series=2)]
    (source / "readme.txt").write_text("no image")
    before = run(archive, tmp_path, "--from", source, "--dry-run")
    assert (before.returncode, "readme.txt" in before.stderr) == (1, True)
    assert f"{len(files)} missing" in before.stdout
    done = run(archive, tmp_path, "--from", source)
    assert done.returncode == 0, done.stderr
    assert "studies: 2 done" in done.stdout
    assert f"{len(files)} stored by this job, 0 missing" in done.stdout
    asyncio.run(expect_exactly(archive, files, tmp_path / "got"))
    more = write(source, data_set(study=pydicom.dcmread(files[0].path).StudyInstanceUID, number=9))
    again = run(archive, tmp_path, "--from", source, "--json")
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    assert [(line["source"], line["target"], line["stored"]) for line in lines[:-1]] == [(4, 3, 1)]
    asyncio.run(expect_exactly(archive, [*files, more], tmp_path / "got again"))


@pytest.mark.parametrize("way", ["get", "move", "dicomweb"])
def test_orthanc_is_emptied_into_the_archive(way: str, archive: RunningArchive, tmp_path: Path) -> None:
    (made := tmp_path / "made").mkdir()
    kinds = ("MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "CT_small.dcm", "rtplan.dcm", "test-SR.dcm")
    files = [*study(made, 6, series=2), *(sample(made, kind) for kind in kinds)]
    port = free_port()
    (folder := tmp_path / "orthanc").mkdir()
    with Orthanc(folder, port, archive.port, archive.http_port if way == "dicomweb" else None) as orthanc:
        for file in files:
            orthanc.upload(file.path)
        address = f"ORTHANC@127.0.0.1:{port}"
        source = f"http://127.0.0.1:{orthanc.http_port}/dicom-web" if way == "dicomweb" else address
        how = ["--by-move", "GANTRY"] if way == "move" else []
        done = run(archive, tmp_path, "--from", source, "--aet", "GANTRY", *how)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{len(files)} stored by this job, 0 missing, 0 different, 0 extra, 0 failed" in done.stdout
        compared = run(archive, tmp_path, "--from", source, "--aet", "GANTRY", "--dry-run", *how)
        assert compared.returncode == 0, compared.stdout + compared.stderr
    for file in files:
        # Orthanc writes data sets anew: they are compared as pydicom reads them.
        [got] = [dataset for dataset in fetched(archive, file) if dataset.SOPInstanceUID == file.sop_instance_uid]
        sent = pydicom.dcmread(file.path)
        assert got.file_meta.TransferSyntaxUID == file.transfer_syntax_uid
        assert got.get("PixelData") == sent.get("PixelData")
        assert got.PatientName == sent.PatientName


def uid_of(file: DicomFile) -> str:
    return str(pydicom.dcmread(file.path, stop_before_pixels=True).StudyInstanceUID)


def fetched(archive: RunningArchive, file: DicomFile) -> list[pydicom.Dataset]:
    """The study of a file, as it is stored."""
    parts = ask_parts(archive, f"/dicom-web/studies/{uid_of(file)}", AS_STORED)
    return [pydicom.dcmread(BytesIO(part)) for _, part in parts]


def test_an_import_that_is_killed_goes_on_and_nothing_is_doubled(
    archive: RunningArchive, old: RunningArchive, tmp_path: Path
) -> None:
    (made := tmp_path / "made").mkdir()
    files = [file for _ in range(12) for file in study(made, 3)]
    waiting.store(old.peer, files)
    asyncio.run(expect_exactly(old, files, tmp_path / "at first"))
    size = sum(file.length for file in files)
    words, environment = command(archive, tmp_path, "--from", old.address, "--rate", size / 6, "--parallel", 1)
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not archive.metric("gantry_objects_received_total"):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    done = run(archive, tmp_path, "--from", old.address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "studies: 12 done" in done.stdout
    asyncio.run(expect_exactly(archive, files, tmp_path / "got"))


def test_a_source_that_gives_few_matches_at_once_is_listed_whole(
    archive: RunningArchive, old: RunningArchive, tmp_path: Path
) -> None:
    (made := tmp_path / "made").mkdir()
    files = [
        write(made, data_set(study=generate_uid(), StudyDate=date, StudyTime=f"{hour:02d}1500"))
        for date in ("20190203", "20240131", "20240201")
        for hour in range(0, 24, 6)
    ]
    files.append(write(made, data_set(study=generate_uid(), StudyDate="", StudyTime="")))
    waiting.store(old.peer, files)
    asyncio.run(expect_exactly(old, files, tmp_path / "at first"))
    done = run(archive, tmp_path, "--from", old.address, "--most", 3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "without a Study Date" in done.stderr
    asyncio.run(expect_exactly(archive, files, tmp_path / "got"))


def test_what_differs_is_reported_and_left_alone(archive: RunningArchive, old: RunningArchive, tmp_path: Path) -> None:
    (made := tmp_path / "made").mkdir()
    uid, series = generate_uid(), generate_uid()
    theirs = [write(made, data_set(study=uid, series=series, number=n, name="Doe^Jane^^^")) for n in range(2)]
    (ours := tmp_path / "ours").mkdir()
    extra = write(ours, data_set(study=uid, series=series, number=7, name="Roe^Jane"))
    waiting.store(old.peer, theirs)
    waiting.store(archive.peer, [extra])
    waiting.wait_searchable(old.peer, uid, 2)
    waiting.wait_searchable(archive.peer, uid, 1)
    compared = run(archive, tmp_path, "--from", old.address, "--dry-run", "--report", tmp_path / "report.csv")
    assert compared.returncode == 1
    with (tmp_path / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["kind"], row["instance"]) for row in rows) == sorted(
        [("extra", extra.sop_instance_uid), ("different", ""), *(("missing", file.sop_instance_uid) for file in theirs)]
    )
    [different] = [row["detail"] for row in rows if row["kind"] == "different"]
    assert different == "PatientName: source 'Doe^Jane^^^', target 'Roe^Jane'"


def test_a_job_file_of_another_import_and_a_source_that_is_away_are_said_in_words(
    archive: RunningArchive, tmp_path: Path
) -> None:
    away = run(archive, tmp_path, "--from", f"OLD@127.0.0.1:{free_port()}", "--patience", 0)
    assert (away.returncode, "no connection" in away.stderr) == (3, True)
    study(tmp_path / "disk", 1)
    assert run(archive, tmp_path, "--from", tmp_path / "disk").returncode == 0
    other = run(archive, tmp_path, "--from", tmp_path)
    assert (other.returncode, "name another file with --job" in other.stderr) == (3, True)
    wrong = run(archive, tmp_path / "target", "--from", "nowhere", "--job", "x.db")
    assert (wrong.returncode, "neither a folder nor a URL" in wrong.stderr) == (2, True)
    assert "Traceback" not in away.stderr + other.stderr + wrong.stderr


def test_bytes_are_the_same_that_the_other_archive_had(
    archive: RunningArchive, old: RunningArchive, tmp_path: Path
) -> None:
    (made := tmp_path / "made").mkdir()
    file = sample(made, "SC_rgb_jpeg_dcmtk.dcm")
    waiting.store(old.peer, [file])
    waiting.wait_searchable(old.peer, uid_of(file), 1)
    web = f"http://127.0.0.1:{old.http_port}/dicom-web"
    assert run(archive, tmp_path, "--from", web).returncode == 0
    [(_, got)] = ask_parts(archive, f"/dicom-web/studies/{uid_of(file)}", AS_STORED)
    assert got.endswith(bytes_of(file))


def until(true: Callable[[], bool], words: str) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, words
        time.sleep(0.1)


def report(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="") as file:
        return [(row["kind"], row["detail"]) for row in csv.DictReader(file)]


def test_what_lies_on_a_disk_and_could_not_be_read_is_no_success(archive: RunningArchive, tmp_path: Path) -> None:
    files = study(source := tmp_path / "disk", 2)
    Path(os.fsdecode(os.fsencode(source) + b"/M\xfcller\n.txt")).write_text("no image")
    done = run(archive, tmp_path, "--from", source, "--report", tmp_path / "report.csv")
    assert done.returncode == 0, done.stderr
    assert report(tmp_path / "report.csv") == [
        ("skipped", f"{source}/M?ller?.txt: not a part 10 file: too short"),
    ]
    (source / "lost.dcm").symlink_to("nowhere")
    done = run(archive, tmp_path, "--from", source, "--report", tmp_path / "report.csv")
    assert done.returncode == 1, done.stdout
    assert ("unreadable", f"{source}/lost.dcm: No such file or directory") in report(tmp_path / "report.csv")
    assert "1 files or folders unreadable" in done.stdout
    asyncio.run(expect_exactly(archive, files, tmp_path / "got"))


def test_a_source_with_nothing_in_it_is_no_success(archive: RunningArchive, tmp_path: Path) -> None:
    (source := tmp_path / "not mounted").mkdir()
    done = run(archive, tmp_path, "--from", source)
    assert (done.returncode, "is the folder mounted" in done.stderr) == (1, True)


@pytest.mark.parametrize("way", ["get", "dicomweb"])
def test_a_source_that_is_started_anew_is_waited_for(
    way: str, archive: RunningArchive, old: RunningArchive, tmp_path: Path
) -> None:
    files = [file for _ in range(8) for file in study(tmp_path / "made", 3)]
    waiting.store(old.peer, files)
    asyncio.run(expect_exactly(old, files, tmp_path / "at first"))
    source = old.address if way == "get" else f"http://127.0.0.1:{old.http_port}/dicom-web"
    rate = sum(file.length for file in files) / 6
    words, environment = command(archive, tmp_path, "--from", source, "--rate", rate, "--report", tmp_path / "r.csv")
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    until(lambda: archive.metric("gantry_objects_received_total") > 0, "nothing came")
    old.kill()
    time.sleep(3)  # it finds nobody for a while
    old.start()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "failed " not in output, output
    asyncio.run(expect_exactly(archive, files, tmp_path / "got"))


def test_the_reason_of_a_source_that_gives_nothing_is_in_the_report(
    archive: RunningArchive, old: RunningArchive, tmp_path: Path
) -> None:
    files = study(tmp_path / "made", 2)
    waiting.store(old.peer, files)
    asyncio.run(expect_exactly(old, files, tmp_path / "at first"))
    old.write_policy(["{ae_title: LOOKER, from: [127.0.0.1], may: [find, echo]}"])
    # Until then everybody from this machine may retrieve.
    until(lambda: "policy taken" in old.log.read_text(), "the policy is not in force")
    done = run(
        archive, tmp_path, "--from", old.address, "--aet", "LOOKER", "--patience", 0, "--report", tmp_path / "r.csv"
    )
    assert done.returncode == 1, done.stdout
    reasons = {detail for kind, detail in report(tmp_path / "r.csv") if kind == "failed"}
    assert reasons
    assert all(reason.startswith("the source: C-GET: ") for reason in reasons), reasons


def test_what_cannot_work_is_said_before_the_first_study(archive: RunningArchive, tmp_path: Path) -> None:
    study(tmp_path / "disk", 1)
    nowhere = run(archive, tmp_path, "--from", tmp_path / "disk", "--report", "/no/such/folder/report.csv")
    assert (nowhere.returncode, "cannot be written" in nowhere.stderr) == (2, True)
    rate = run(archive, tmp_path, "--from", archive.address, "--by-move", "GANTRY", "--rate", "1M")
    assert (rate.returncode, "the source sends by itself" in rate.stderr) == (2, True)
    assert not (tmp_path / "job.db").exists()
    archive.stop()
    away = run(archive, tmp_path, "--from", tmp_path / "disk")
    assert (away.returncode, "no connection" in away.stderr) == (3, True)
    assert "Traceback" not in away.stderr


def test_whoever_stops_it_is_told_how_it_goes_on_and_finds_a_report(archive: RunningArchive, tmp_path: Path) -> None:
    for _ in range(6):
        study(tmp_path / "disk", 1)
    words, environment = command(
        archive, tmp_path, "--from", tmp_path / "disk", "--rate", 5000, "--parallel", 1, "--report", tmp_path / "r.csv"
    )
    # As from a terminal, also where these tests run in the background, for which shells ignore SIGINT.
    process = subprocess.Popen(
        words,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until(lambda: archive.metric("gantry_objects_received_total") > 0, "nothing came")
    (tmp_path / "r.csv").unlink()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "the same command continues from here" in output
    assert "Traceback" not in output
    assert report(tmp_path / "r.csv") == []


def test_whoever_reads_only_the_first_line_gets_no_stack_trace(archive: RunningArchive, tmp_path: Path) -> None:
    for _ in range(3):
        study(tmp_path / "disk", 1)
    words, environment = command(archive, tmp_path, "--from", tmp_path / "disk", "--dry-run", "--json")
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
