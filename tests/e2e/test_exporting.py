"""`gantry export`: folders, ZIP files and media out of a real archive, as they are and de-identified."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pydicom
import pytest
from pydicom.fileset import FileSet
from pydicom.uid import generate_uid

from tests.support.archive import IMPORTS, RunningArchive
from tests.support.objects import data_set, write

STUDY, OTHER = generate_uid(), generate_uid()
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
NAME = "Brenner^Jörg"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    """Two series of CT images and a capture of a screen of one patient, and an image of another one."""
    folder = tmp_path_factory.mktemp("archive")
    running = RunningArchive(folder)
    try:
        running.start()
        first, second, third = generate_uid(), generate_uid(), generate_uid()
        common = {"study": STUDY, "patient": "4711", "name": NAME, "SpecificCharacterSet": "ISO_IR 100"}
        for number in (1, 2):
            write(folder / "in", data_set(series=first, number=number, SeriesNumber=1, **common))
        write(folder / "in", data_set(series=second, number=1, SeriesNumber=2, **common))
        write(folder / "in", data_set(series=third, number=1, SOPClassUID=SECONDARY_CAPTURE, **common))
        write(folder / "in", data_set(study=OTHER, patient="0815", name="Else^Some"))
        done = gantry("store", running.address, folder / "in")
        assert done.returncode == 0, done.stderr
        yield running
    finally:
        running.stop()


def gantry(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "gantry", *(str(argument) for argument in arguments)]
    environment = {**os.environ, "PYTHONPATH": IMPORTS}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)


def exported(archive: RunningArchive, where: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return gantry("export", archive.address, "--to", where, *arguments)


def stored(archive: RunningArchive) -> dict[str, pydicom.Dataset]:
    return {ds.SOPInstanceUID: ds for path in (archive.folder / "in").iterdir() if (ds := pydicom.dcmread(path))}


def index(folder: Path) -> list[dict[str, str]]:
    with (folder / "INDEX.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.dcm") if path.is_file())


def without_meta(data_set: pydicom.Dataset) -> pydicom.Dataset:
    return pydicom.Dataset({element.tag: element for element in data_set})


def test_a_study_becomes_a_folder_that_a_later_run_adds_to(archive: RunningArchive, tmp_path: Path) -> None:
    done = exported(archive, tmp_path / "to", STUDY)
    assert done.returncode == 0, done.stderr
    assert "4 instances exported" in done.stdout
    before = stored(archive)
    for path in files(tmp_path / "to"):
        after = pydicom.dcmread(path)
        assert without_meta(after) == without_meta(before[after.SOPInstanceUID])
        assert path.relative_to(tmp_path / "to").parts[0] == "4711"
    rows = index(tmp_path / "to")
    assert len(rows) == len(files(tmp_path / "to")) == 4
    assert all((tmp_path / "to" / row["path"]).stat().st_size == int(row["bytes"]) for row in rows)
    assert "name patients" in (tmp_path / "to" / "README.TXT").read_text()
    files(tmp_path / "to")[0].unlink()
    again = exported(archive, tmp_path / "to", STUDY, OTHER, "--json")
    totals = json.loads(again.stdout.splitlines()[-1])
    assert (again.returncode, totals["exported"], totals["already"]) == (0, 2, 3)
    assert len(files(tmp_path / "to")) == 5


def test_a_de_identified_zip_file_names_nobody_and_is_the_same_with_the_same_key(
    archive: RunningArchive, tmp_path: Path
) -> None:
    (key := tmp_path / "key").write_bytes(b"a key of the tests, long enough")
    options = (STUDY, "--deidentify", "--key-file", key, "--retain", "modified-dates")
    done = exported(archive, tmp_path / "a.zip", *options)
    assert done.returncode == 1
    assert "left out of" in done.stderr
    assert "1 left out" in done.stdout
    read = {}
    with ZipFile(tmp_path / "a.zip") as packed:
        assert not any(mark in packed.read(name) for name in packed.namelist() for mark in (b"Brenner", STUDY.encode()))
        assert not any("4711" in name for name in packed.namelist())
        for name in packed.namelist():
            if name.endswith(".dcm"):
                data_set = pydicom.dcmread(io.BytesIO(packed.read(name)))
                read[name] = data_set
    assert len(read) == 3
    pixels = {ds.PixelData for ds in stored(archive).values()}
    for ds in read.values():
        assert ds.PatientIdentityRemoved == "YES"
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert ds.StudyDate < "20240131"
        assert ds.PixelData in pixels
    assert len({ds.StudyInstanceUID for ds in read.values()}) == 1
    assert len({ds.SeriesInstanceUID for ds in read.values()}) == 2
    exported(archive, tmp_path / "b.zip", *options)
    with ZipFile(tmp_path / "a.zip") as first, ZipFile(tmp_path / "b.zip") as second:
        assert sorted(first.namelist()) == sorted(second.namelist())
        assert all(first.read(name) == second.read(name) for name in read)
    checked = exported(archive, tmp_path / "c.zip", *options, "--pixels-checked")
    assert (checked.returncode, "4 instances exported" in checked.stdout) == (0, True)


def test_media_can_be_read_by_others(archive: RunningArchive, tmp_path: Path) -> None:
    done = exported(archive, tmp_path / "cd", "-k", "StudyDate=20240131", "--media")
    assert done.returncode == 0, done.stderr
    on_media = FileSet(tmp_path / "cd" / "DICOMDIR")
    assert {instance.SOPInstanceUID for instance in on_media} == set(stored(archive))
    assert set(on_media.find_values("PatientID")) == {"4711", "0815"}
    assert NAME in {str(name) for name in on_media.find_values("PatientName")}
    for instance in on_media:
        assert instance.load().SOPInstanceUID == instance.SOPInstanceUID
    assert all(len(part) == 8 and part.isupper() for row in index(tmp_path / "cd") for part in row["path"].split("/"))
    again = exported(archive, tmp_path / "cd", STUDY, "--media")
    assert "4 were there already" in again.stdout
    assert len(FileSet(tmp_path / "cd" / "DICOMDIR")) == 5


@pytest.mark.skipif(not shutil.which("dcmdump"), reason="DCMTK is not installed")
def test_dcmtk_reads_what_is_exported(archive: RunningArchive, tmp_path: Path) -> None:
    exported(archive, tmp_path / "cd", STUDY, "--media", "--deidentify", "--pixels-checked")
    paths = [tmp_path / "cd" / "DICOMDIR", *(tmp_path / "cd" / row["path"] for row in index(tmp_path / "cd"))]
    assert len(paths) == 5
    for path in paths:
        done = subprocess.run(["dcmdump", path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Brenner" not in done.stdout
    result = subprocess.run(["dcmdump", "+P", "0004,1500", paths[0]], capture_output=True, text=True, check=True)
    assert result.stdout.count("IM00000") == 4


def test_pseudonyms_of_a_list_and_patients_who_are_not_on_it(archive: RunningArchive, tmp_path: Path) -> None:
    (patients := tmp_path / "patients.csv").write_text("4711,SUBJECT-1\n")
    options = ("-k", "StudyDate=20240131", "--deidentify", "--pixels-checked", "--patients", patients)
    done = exported(archive, tmp_path / "to", *options)
    assert done.returncode == 1
    assert "does not have the patient" in done.stderr
    assert {row["patient"] for row in index(tmp_path / "to")} == {"SUBJECT-1"}


def test_a_folder_takes_only_exports_of_its_kind(archive: RunningArchive, tmp_path: Path) -> None:
    assert exported(archive, tmp_path / "to", OTHER, "--deidentify").returncode == 0
    for options in ((), ("--deidentify",), ("--media",)):
        done = exported(archive, tmp_path / "to", OTHER, *options)
        assert done.returncode == 3
        assert "other options or another key" in done.stderr


def test_a_dry_run_counts_and_writes_nothing(archive: RunningArchive, tmp_path: Path) -> None:
    done = exported(archive, tmp_path / "to", STUDY, "--dry-run")
    assert done.returncode == 0
    assert f"{STUDY}: 4 instances" in done.stdout
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "name studies"),
        (("1.2.x",), 2, "not a Study Instance UID"),
        ((OTHER, "--retain", "uids"), 2, "go with --deidentify"),
        (
            (OTHER, "--deidentify", "--retain", "full-dates", "--retain", "modified-dates"),
            2,
            "cannot be retained",
        ),
        (("1.2.3.4.5",), 1, "does not have this study"),
        (("-k", "PatientID=nobody"), 1, "no study that matches"),
    ],
)
def test_says_what_was_wrong(
    archive: RunningArchive, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = exported(archive, tmp_path / "to.zip", *arguments)
    assert done.returncode == code
    assert words in done.stderr.replace("\n", " ")
    assert not (tmp_path / "to.zip").exists()


def test_a_target_that_cannot_be_written_is_said_in_words(archive: RunningArchive, tmp_path: Path) -> None:
    (file := tmp_path / "file").write_text("")
    for where in (file / "to", file / "to.zip"):
        done = exported(archive, where, OTHER)
        assert done.returncode == 1
        assert "cannot be written" in done.stderr
        assert "Traceback" not in done.stderr
