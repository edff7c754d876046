"""Folders and ZIP files as targets."""

from __future__ import annotations

import csv
from pathlib import Path, PurePosixPath
from zipfile import ZIP_STORED, ZipFile

import pytest

from gantry.cli.exporting.names import Exported
from gantry.cli.exporting.target import FolderTarget, ZipTarget
from gantry.common.errors import ConfigError

ONE = Exported('P,"1', "1.1", "1.1.1", "1.1.1.1", "1.2", "1.2.840.10008.1.2.1")
PATH = PurePosixPath("P1/a/b.dcm")
FORM = {"media": False}


def part(folder: Path, data: bytes = b"data") -> Path:
    path = folder / "part"
    path.write_bytes(data)
    return path


def test_a_folder_remembers_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "to"
    target = FolderTarget(folder, FORM)
    target.put(part(tmp_path), PATH, ONE)
    target.close(whole=False)
    assert (folder / PATH).read_bytes() == b"data"
    again = FolderTarget(folder, FORM)
    assert list(again.earlier_objects()) == [(ONE, PATH)]
    (folder / PATH).unlink()
    assert list(again.earlier_objects()) == []
    again.close(whole=True)


def test_a_folder_of_another_export_or_of_somebody_else_is_refused(tmp_path: Path) -> None:
    FolderTarget(tmp_path / "to", FORM).close(whole=True)
    with pytest.raises(ConfigError, match="other options"):
        FolderTarget(tmp_path / "to", {"media": True})
    with pytest.raises(ConfigError, match="something else"):
        FolderTarget(tmp_path, FORM)


def test_a_line_that_was_cut_off_by_a_crash_does_not_count(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "to", FORM)
    target.close(whole=False)
    with (tmp_path / "to" / "INDEX.csv").open("a") as file:
        file.write("P1/a/b.dcm,P1,1.")
    again = FolderTarget(tmp_path / "to", FORM)
    assert list(again.earlier_objects()) == []
    again.close(whole=True)


def test_a_zip_file_is_stored_and_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    target = ZipTarget(tmp_path / "to.zip")
    target.put(part(tmp_path), PATH, ONE)
    assert not (tmp_path / "to.zip").exists()
    target.close(whole=True)
    with ZipFile(tmp_path / "to.zip") as read:
        assert read.testzip() is None
        assert read.read(str(PATH)) == b"data"
        assert {info.compress_type for info in read.infolist()} == {ZIP_STORED}
        [row] = csv.DictReader(read.read("INDEX.csv").decode().splitlines())
    assert row["patient"] == ONE.patient
    assert [path.name for path in tmp_path.iterdir()] == ["to.zip"]


def test_of_a_zip_file_that_is_broken_off_nothing_is_left(tmp_path: Path) -> None:
    target = ZipTarget(tmp_path / "to.zip")
    target.put(part(tmp_path), PATH, ONE)
    target.close(whole=False)
    assert list(tmp_path.iterdir()) == []
