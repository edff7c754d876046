"""Folders as a source of an import: the content of old disks, and the job file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from gantry.cli.files import DicomFile, Skipped, walk
from gantry.cli.importing.command import _report_of
from gantry.cli.importing.folders import FolderFiles
from gantry.cli.importing.job import ImportJob
from gantry.cli.importing.model import Finding, Instances, Study, Withheld
from gantry.common.errors import ConfigError
from tests.support.objects import data_set, file_bytes, write


@pytest.fixture
def job(tmp_path: Path) -> Iterator[ImportJob]:
    with closing(ImportJob(tmp_path / "job.db", "here", "there")) as job:
        yield job


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (folder := tmp_path / "disk").mkdir()
    return folder


async def listed(folder: Path, job: ImportJob) -> tuple[list[Study], list[Skipped]]:
    skipped: list[Skipped] = []
    return [study async for study in FolderFiles([folder], job, skipped.append).studies()], skipped


async def instances(folder: Path, job: ImportJob, study: str) -> Instances:
    return await FolderFiles([folder], job, lambda _: None).instances(study)


async def test_a_file_whose_name_is_no_text_is_found_and_can_be_read(folder: Path, job: ImportJob) -> None:
    ds = data_set()
    path = os.fsencode(folder) + b"/M\xfcller.dcm"
    Path(os.fsdecode(path)).write_bytes(file_bytes(ds))
    studies, skipped = await listed(folder, job)
    assert ([study.uid for study in studies], skipped) == ([ds.StudyInstanceUID], [])
    [instance] = (await instances(folder, job, ds.StudyInstanceUID)).values()
    assert instance.file is not None
    assert os.fsencode(instance.file.path) == path


async def test_what_nobody_can_look_into_is_told(folder: Path, job: ImportJob, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "empty").touch()
    (folder / "note.txt").write_text("of 1999")
    (folder / "circle").symlink_to("..")
    (folder / "gone").symlink_to("nowhere")
    (folder / "private").mkdir()
    scan = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("private"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    _, skipped = await listed(folder, job)
    assert sorted((file.path.name, file.reason, file.unreadable) for file in skipped) == [
        ("circle", "a link to a folder, which is not followed", False),
        ("empty", "empty", False),
        ("fifo", "not a regular file", False),
        ("gone", "No such file or directory", True),
        ("note.txt", "not a part 10 file: too short", False),
        ("private", "Permission denied", True),
    ]


def test_a_folder_that_may_be_listed_and_not_entered_stops_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "z.dcm").touch()

    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_symlink", refuse)  # what it does there; tests run as root, whom nothing is refused
    assert folder / "z.dcm" in list(walk([folder]))


async def test_a_damaged_file_is_skipped_whatever_it_makes_a_reader_stumble_over(folder: Path, job: ImportJob) -> None:
    ds = data_set()
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = write(folder, ds)
    damaged = bytearray(file.path.read_bytes())
    damaged[file.offset : file.offset + 40] = b"\xff" * 40
    file.path.write_bytes(damaged)
    studies, [skipped] = await listed(folder, job)
    assert (studies, skipped.path) == ([], file.path)


async def test_of_two_files_with_one_uid_and_other_bytes_the_other_one_is_told(folder: Path, job: ImportJob) -> None:
    ds = data_set()
    for name in ("a.dcm", "b.dcm"):
        (folder / name).write_bytes(file_bytes(ds))
    await listed(folder, job)
    [instance] = (await instances(folder, job, ds.StudyInstanceUID)).values()
    assert instance.clash == ""
    ds.StudyDescription = "another one"
    (folder / "c.dcm").write_bytes(file_bytes(ds))
    await listed(folder, job)
    [instance] = (await instances(folder, job, ds.StudyInstanceUID)).values()
    assert instance.clash == f"{folder / 'c.dcm'} has its UID and other bytes: {folder / 'a.dcm'} is used"
    assert instance.file is not None
    assert instance.file.path == folder / "a.dcm"


async def test_a_file_that_was_moved_since_is_taken_from_where_it_is(folder: Path, job: ImportJob) -> None:
    ds = data_set()
    file = write(folder, ds)
    await listed(folder, job)
    (folder / "later").mkdir()
    moved = Path(shutil.move(file.path, folder / "later"))
    await listed(folder, job)
    wanted = await instances(folder, job, ds.StudyInstanceUID)
    source = FolderFiles([folder], job, lambda _: None)
    [[copy]] = [batch async for batch in source.fetch(ds.StudyInstanceUID, wanted, folder)]
    assert isinstance(copy, DicomFile)
    assert copy.path == moved
    moved.unlink()
    [[missing]] = [batch async for batch in source.fetch(ds.StudyInstanceUID, wanted, folder)]
    assert missing == Withheld(ds.SOPInstanceUID, f"{moved} no longer exists")


def test_a_job_file_is_of_one_import_at_a_time(tmp_path: Path) -> None:
    with (
        closing(ImportJob(tmp_path / "job.db", "here", "there")),
        pytest.raises(ConfigError, match="another import is runn"),
    ):
        ImportJob(tmp_path / "job.db", "here", "there")
    ImportJob(tmp_path / "job.db", "here", "there").close()


def test_a_job_in_which_nothing_was_listed_yet_may_become_another_one(tmp_path: Path) -> None:
    ImportJob(tmp_path / "job.db", "mistyped", "there").close()
    with closing(ImportJob(tmp_path / "job.db", "here", "there")) as job:
        job.see(Study("1.2", {}))
    with pytest.raises(ConfigError, match="import with the source here"):
        ImportJob(tmp_path / "job.db", "mistyped", "there")


def test_what_belongs_to_no_study_is_in_the_report_until_the_source_is_listed_anew(job: ImportJob) -> None:
    job.note(Finding("unreadable", "", "", "disk/x: Input/output error"))
    assert list(job.report()) == [("", "unreadable", "", "", "disk/x: Input/output error")]
    assert job.totals().kinds == {"unreadable": 1}
    job.list_anew()
    assert list(job.report()) == []


def test_a_job_file_that_cannot_be_read_any_more_leaves_the_report_of_before(job: ImportJob) -> None:
    assert _report_of(job) == []
    job.db.execute("DROP TABLE findings")
    assert _report_of(job) is None
