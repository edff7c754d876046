"""Attributes that the settings make searchable, private ones too: without a pause, by `gantry reindex`."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest
from pydicom.dataset import Dataset

from gantry.cli.files import DicomFile
from gantry.cli.identifiers import identifier
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND
from tests.support.archive import IMPORTS, ROOT, RunningArchive
from tests.support.asking import Modality, wait_for
from tests.support.dicomweb import ask_json
from tests.support.objects import data_set, study, write
from tests.support.pynetdicom_peers import associated
from tests.support.topology import TOPOLOGIES, environment, remove_stores

BOTH = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
ADDED = """\
index:
  attributes:
    - {attribute: PregnancyStatus, level: STUDY}
    - {attribute: "0019,100A", creator: MAKER 1, vr: LO, level: SERIES}
"""


def marked(folder: Path, number: int) -> DicomFile:
    """A study with a private attribute in a block that is not the first one."""
    ds = data_set(size=8, patient=f"MARK{number}", PregnancyStatus=number)
    ds.private_block(0x0019, "SOMEBODY ELSE", create=True).add_new(0x0A, "LO", "not it")
    ds.private_block(0x0019, "MAKER 1", create=True).add_new(0x0A, "LO", f"thing {number}")
    return write(folder, ds)


def by_c_find(archive: RunningArchive, creator: str) -> list[Dataset]:
    query = identifier("SERIES", ["PatientID"])
    query.add_new(0x00190010, "LO", creator)
    query.add_new(0x0019100A, "LO", "*2")
    with associated(archive.peer, [(STUDY_ROOT_FIND, BOTH)], extended={STUDY_ROOT_FIND: b"\1"}) as association:
        *pending, (final, _) = association.send_c_find(query, STUDY_ROOT_FIND)
    assert final.Status == 0x0000
    return [answer for _, answer in pending]


def by_qido(archive: RunningArchive, resource: str, **parameters: str) -> list[Dataset]:
    return [Dataset.from_json(match) for match in ask_json(archive, f"/dicom-web/{resource}?{urlencode(parameters)}")]


def reindex(archive: RunningArchive) -> dict[str, int]:
    where = ("--config", str(archive.config), "--data", str(archive.folder / "data"))
    done = subprocess.run(
        [sys.executable, "-m", "gantry", "reindex", "--json", *where],
        cwd=ROOT,
        env={**os.environ, **archive.environment, "PYTHONPATH": IMPORTS},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, int] = json.loads(done.stdout)
    return report


@pytest.mark.timeout(300)
@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_attributes_become_searchable_while_the_archive_goes_on(topology: str, tmp_path: Path) -> None:
    archive = RunningArchive(tmp_path, environment=environment(topology, tmp_path))
    archive.start()
    try:
        await Modality(archive.peer, [marked(tmp_path / "first", number) for number in (1, 2)]).send_all()
        await wait_for(archive, 2)
        assert (
            len(by_qido(archive, "studies", PregnancyStatus="2")) == 2
        )  # not supported: ignored, and a warning says so
        # The settings are changed and the services started again; the index is still the one of before.
        archive.stop()
        archive.write_policy([], ADDED)
        archive.start()
        assert "run `gantry reindex`" in archive.log.read_text()
        assert len(by_qido(archive, "studies", PregnancyStatus="2")) == 2
        late = [marked(tmp_path / "late", 12), *study(tmp_path / "more", 30, size=8)]
        sending = asyncio.create_task(Modality(archive.peer, late).send_all())
        report = await asyncio.to_thread(reindex, archive)
        await sending
        assert report["refused"] == 0
        await wait_for(archive, 33)
        for _ in range(100):  # each process hears of the new index within seconds
            if len(by_qido(archive, "studies", PregnancyStatus="2")) == 1:
                break
            await asyncio.sleep(0.1)
        (match,) = by_qido(archive, "studies", PregnancyStatus="2")
        assert (match.PatientID, match.PregnancyStatus) == ("MARK2", 2)
        series = by_c_find(archive, "MAKER 1")
        assert sorted(str(dataset.PatientID) for dataset in series) == ["MARK12", "MARK2"]
        assert {dataset.private_block(0x0019, "MAKER 1")[0x0A].value for dataset in series} == {"thing 2", "thing 12"}
        assert len(by_c_find(archive, "ANOTHER MAKER")) == 4  # not ours to know: as if it had not been asked for
        (match,) = by_qido(archive, "series", **{"0019100A": "thing 12"})
        assert match.private_block(0x0019, "MAKER 1")[0x0A].value == "thing 12"
        assert (await asyncio.to_thread(reindex, archive))["instances"] == 33
    finally:
        archive.stop()
        remove_stores(archive.environment)
