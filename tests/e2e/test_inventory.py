"""`gantry inventory`: what one archive wrote, another one is compared with and filled by."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.support import dcmtk
from tests.support.archive import IMPORTS, RunningArchive
from tests.support.objects import sample, study
from tests.support.topology import TOPOLOGIES, environment, remove_stores


@pytest.fixture(params=TOPOLOGIES)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningArchive]:
    """The archive that is left, in either topology."""
    (folder := tmp_path / "old").mkdir()
    stores = environment(request.param, folder)
    running = RunningArchive(folder, environment=stores)
    try:
        yield running.start()
    finally:
        running.stop()
        remove_stores(stores)


@pytest.fixture
def new(tmp_path: Path) -> Iterator[RunningArchive]:
    (folder := tmp_path / "new").mkdir()
    running = RunningArchive(folder)
    try:
        yield running.start()
    finally:
        running.stop()


def gantry(folder: Path, *arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "gantry", *map(str, arguments)]
    full = {**os.environ, **(env or {}), "PYTHONPATH": IMPORTS}
    return subprocess.run(words, env=full, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def written(archive: RunningArchive, folder: Path, name: str, *options: object) -> Path:
    path = folder / name
    words = ("inventory", "write", path, "--config", archive.config, "--data", archive.folder / "data", *options)
    done = gantry(archive.folder, *words, env=archive.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return path


def test_a_new_archive_is_compared_filled_and_compared_again(
    old: RunningArchive, new: RunningArchive, tmp_path: Path
) -> None:
    (cd := tmp_path / "cd").mkdir()
    files = [*study(cd, 3), *study(cd, 2, series=2), sample(cd, "MR_small_RLE.dcm")]
    assert gantry(tmp_path, "import", old.address, "--from", cd).returncode == 0

    path = written(old, tmp_path, "inventory.dcm", "--purpose", "change of archive")
    assert "InventoriedStudiesSequence" in pydicom.dcmread(path)
    assert "=CTImageStorage" in dcmtk.ok("dcmdump", path)

    report = tmp_path / "report.csv"
    before = gantry(tmp_path, "inventory", "compare", new.address, path, "--report", report)
    assert before.returncode == 1
    assert f"{len(files)} missing" in before.stdout
    rows = list(csv.DictReader(report.open()))
    assert {row["instance"] for row in rows if row["kind"] == "missing"} == {file.sop_instance_uid for file in files}

    done = gantry(tmp_path, "import", new.address, "--from", old.address, "--inventory", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(files)} stored by this job, 0 missing" in done.stdout
    after = gantry(tmp_path, "inventory", "compare", new.address, path)
    assert (after.returncode, "equal" in after.stdout) == (0, True), after.stdout + after.stderr


@pytest.mark.parametrize("old", ["embedded"], indirect=True)
def test_parts_files_and_what_is_extra(old: RunningArchive, tmp_path: Path) -> None:
    (cd := tmp_path / "cd").mkdir()
    for _ in range(3):
        study(cd, 2)
    assert gantry(tmp_path, "import", old.address, "--from", cd).returncode == 0
    path = written(old, tmp_path, "parts.dcm", "--most", 2, "--objects-at", "file:///objects/")
    assert len(pydicom.dcmread(path).IncorporatedInventoryInstanceSequence) == 3

    [item] = pydicom.dcmread(tmp_path / "parts-0001.dcm").InventoriedStudiesSequence
    for instance in item.InventoriedSeriesSequence[0].InventoriedInstancesSequence:
        [access] = instance.FileAccessSequence
        [stored] = [path for path in old.folder.rglob("*.dcm") if path.name == Path(access.FileAccessURI).name]
        assert stored.as_posix().endswith(access.FileAccessURI.removeprefix("./"))
        assert stored.stat().st_size == access.FileLengthInContainer
        assert pydicom.dcmread(stored).SOPInstanceUID == instance.SOPInstanceUID

    assert gantry(tmp_path, "inventory", "compare", old.address, path).returncode == 0
    [more] = study(cd, 1)
    assert gantry(tmp_path, "store", old.address, more.path).returncode == 0
    later = gantry(tmp_path, "inventory", "compare", old.address, path, "--json")
    report = json.loads(later.stdout)
    assert (later.returncode, report["findings"], report["instances"]) == (0, {"extra": 1}, 6)
    assert report["listed"] == 3  # what only the archive has is not in the inventory
    (cd / "lost.dcm").symlink_to("nowhere")
    whole = gantry(tmp_path, "import", old.address, "--from", cd, "--inventory", path, "--job", tmp_path / "whole.db")
    assert whole.returncode == 0, whole.stderr  # nothing that the inventory lists is missing
    (tmp_path / "parts-0002.dcm").unlink()
    refused = gantry(tmp_path, "inventory", "compare", old.address, path)
    assert (refused.returncode, "is not in the same folder" in refused.stderr) == (3, True)


@pytest.mark.parametrize("old", ["embedded"], indirect=True)
def test_studies_alone_are_compared_by_their_counts(old: RunningArchive, tmp_path: Path) -> None:
    (cd := tmp_path / "cd").mkdir()
    study(cd, 3)
    assert gantry(tmp_path, "import", old.address, "--from", cd).returncode == 0
    path = written(old, tmp_path, "studies.dcm", "--level", "study")
    assert gantry(tmp_path, "inventory", "compare", old.address, path).returncode == 0
    refused = gantry(tmp_path, "import", old.address, "--from", cd, "--inventory", path)
    assert (refused.returncode, "lists no instances" in refused.stderr) == (3, True)
    no_inventory = gantry(tmp_path, "inventory", "compare", old.address, next(cd.glob("*.dcm")))
    assert (no_inventory.returncode, "not an Inventory" in no_inventory.stderr) == (3, True)


def test_writing_one_is_on_record_and_files_that_nobody_else_can_read_are_not_named(
    old: RunningArchive, tmp_path: Path
) -> None:
    written(old, tmp_path, "all.dcm", "--where", "PatientID=P7")
    where = ("--config", old.config, "--data", old.folder / "data")
    result = gantry(old.folder, "audit", "list", *where, "--json", env=old.environment)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    (record,) = [record for record in records if record["operation"] == "gantry inventory write"]
    assert (record["kind"], record["requestor_is"], record["outcome"]) == ("query", "person", 0)
    for setting, words in (
        (f"tiers: {{stores: [{{name: cold, url: 'file://{tmp_path}/cold'}}]}}", "several stores"),
        (f"encryption: {{key_file: {tmp_path}/keys}}", "are encrypted"),
    ):
        assert gantry(old.folder, "keys", "new", tmp_path / "keys", "--name", words[0]).returncode == 0
        old.write_policy([], f"{setting}\n")
        refused = gantry(
            *(old.folder, "inventory", "write", tmp_path / "refused.dcm", *where, "--objects-at", "s3://bucket/"),
            env=old.environment,
        )
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr
        assert not (tmp_path / "refused.dcm").exists()
