"""A support bundle says how the archive is and nothing of a patient: in both topologies."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pydicom

from tests.crash.conftest import MakeArchive, embedded
from tests.support.archive import IMPORTS, ROOT, RunningArchive
from tests.support.asking import Modality, get, wait_for
from tests.support.objects import study

NAME, PATIENT, ACCESSION = "Secret^Jane", "PID4711", "ACC0815"
SETTINGS = (
    "upkeep: {seal_every: 0.2, reconcile_every: 0.5}\n"
    f"lifecycle: {{retention: [{{name: study, where: ['PatientID={PATIENT}'], keep: 10y}}]}}\n"
)


async def bundle(archive: RunningArchive, output: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gantry", "support", "--output", str(output), "--port", str(archive.http_port)]
    command += ["--config", str(archive.config), "--data", str(archive.folder / "data")]
    command += ["--log", str(archive.folder / "log.txt")]
    variables = {**os.environ, **archive.environment, "PYTHONPATH": IMPORTS, **environment}
    return await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=110, check=False
    )


def content(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


async def test_a_bundle_says_how_it_is_and_names_no_patient(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive()
    archive.write_policy([], SETTINGS)
    archive.start()
    files = study(tmp_path / "files", 3, name=NAME, patient=PATIENT, AccessionNumber=ACCESSION)
    await Modality(archive.peer, files).send_all()
    await wait_for(archive, 3)
    uid = pydicom.dcmread(files[0].path, stop_before_pixels=True).StudyInstanceUID
    assert len(await get(archive.peer, tmp_path / "got", "STUDY", f"StudyInstanceUID={uid}")) == 3
    result = await bundle(archive, tmp_path / "bundle.zip")
    assert result.returncode == 0, result.stderr
    contents = content(tmp_path / "bundle.zip")
    assert {
        "about.json",
        "settings.json",
        f"process/{archive.http_port}/metrics.txt",
        f"process/{archive.http_port}/readyz.txt",
        "stores/index.json",
        "stores/log.json",
        "stores/dead-letters.json",
        "stores/associations.json",
        "stores/reconcile.json",
        "logs/log.txt",
    } <= contents.keys()
    assert '"instances": 3' in contents["stores/index.json"]
    assert "gantry_instances_indexed_total" in contents[f"process/{archive.http_port}/metrics.txt"]
    whole = "".join(contents.values()) + result.stdout
    for marked in ("Secret", PATIENT, ACCESSION, str(uid), *(file.sop_instance_uid for file in files)):
        assert marked not in whole, marked
    assert (tmp_path / "bundle.zip").stat().st_mode & 0o077 == 0
    # What is there is not overwritten.
    again = await bundle(archive, tmp_path / "bundle.zip")
    assert (again.returncode, "File exists" in again.stderr) == (1, True)
    assert archive.stop() == 0


@embedded
async def test_a_store_that_is_away_is_said_and_the_rest_is_written(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive()
    archive.write_policy([], SETTINGS)
    archive.start()
    result = await bundle(archive, tmp_path / "b.zip", GANTRY_STORAGE__INDEX="opensearch://127.0.0.1:9/x")
    assert result.returncode == 1
    contents = content(tmp_path / "b.zip")
    assert "index" in contents["errors.txt"]
    assert {"settings.json", f"process/{archive.http_port}/metrics.txt", "logs/log.txt"} <= contents.keys()
    assert archive.stop() == 0
