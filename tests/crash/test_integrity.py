"""What is lost or in conflict on a running archive is found, listed and mended: in both topologies."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pydicom
from pydicom.uid import generate_uid

from gantry.cli.files import DicomFile
from gantry.common.clock import SystemClock
from gantry.common.ports.index import InstanceKey
from tests.crash.conftest import MakeArchive
from tests.crash.test_upkeep import SEALING, commit, gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, expect_exactly, stores_of, until, wait_for
from tests.support.objects import data_set, study, write
from tests.support.stow import files as as_body
from tests.support.stow import post


def header(file: DicomFile) -> pydicom.Dataset:
    return pydicom.dcmread(file.path, stop_before_pixels=True)


def instance_path(file: DicomFile) -> str:
    ds = header(file)
    return f"/dicom-web/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"


async def lose_object(archive: RunningArchive, file: DicomFile) -> None:
    """As when a disk gave up a file."""
    dataset = header(file)
    key = InstanceKey(dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    async with stores_of(archive) as stores:
        location = (await stores.index.current("default", [key]))[key]
        await stores.objects.delete(location.object_key)


async def run(archive: RunningArchive, *arguments: str) -> tuple[int, str]:
    result = await asyncio.to_thread(gantry, archive, *arguments)
    return result.returncode, result.stdout + result.stderr


async def test_a_lost_object_is_found_told_and_mended_by_sending_it_again(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    files = study(tmp_path / "files", 6)
    await Modality(archive.peer, files).send_all()
    await wait_for(archive, 6)
    assert (await run(archive, "verify", "--rate", "0"))[0] == 0
    await lose_object(archive, files[2])
    code, output = await run(archive, "verify", "--rate", "0")
    assert code == 1
    assert files[2].sop_instance_uid in output
    # The rest of the study is there; of the lost one nobody says that it never was.
    assert archive.http(instance_path(files[1]))[0] == 200
    assert archive.http(instance_path(files[2]))[0] in (410, 500)
    await Modality(archive.peer, [files[2]]).send_all()
    await until(lambda: archive.http(instance_path(files[2]))[0] == 200)
    await expect_exactly(archive, files, tmp_path / "got")
    assert (await run(archive, "verify", "--rate", "0"))[0] == 0
    assert archive.stop() == 0
    # And an index that is built anew reads the good copy, too.
    assert (await run(archive, "reindex"))[0] == 0
    archive.start()
    await expect_exactly(archive, files, tmp_path / "again")
    assert archive.stop() == 0


async def test_one_uid_in_two_studies_is_two_instances_and_a_conflict(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    uid = generate_uid()
    first, second = [
        write(tmp_path / name, data_set(instance=uid, study=generate_uid(), name=name)) for name in ("A^One", "B^Two")
    ]
    await Modality(archive.peer, [first]).send_all()
    answer = await asyncio.to_thread(post, archive, as_body([second.path.read_bytes()]))
    assert answer.status == 200
    for file in (first, second):
        # At once, and for good.
        assert archive.http(f"{instance_path(file)}/metadata")[0] == 200
    await wait_for(archive, 2)
    for file, name in ((first, "A^One"), (second, "B^Two")):
        status, body = archive.http(f"{instance_path(file)}/metadata")
        assert status == 200
        assert json.loads(body)[0]["00100010"]["Value"][0]["Alphabetic"] == name
        response = archive.http(f"/dicom-web/studies?StudyInstanceUID={header(file).StudyInstanceUID}")
        assert len(json.loads(response[1])) == 1
    assert await commit(archive, generate_uid(), [first]) == 0x0000
    code, output = await run(archive, "conflicts", "--json", "--fetch", str(tmp_path / "sides"))
    assert code == 0
    sides = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert {side["study_instance_uid"] for side in sides} == {header(f).StudyInstanceUID for f in (first, second)}
    assert {side["sender"] for side in sides} == {"TEST_SCU", "loopback"}
    names = {str(pydicom.dcmread(io.BytesIO(Path(side["file"]).read_bytes())).PatientName) for side in sides}
    assert names == {"A^One", "B^Two"}
    assert archive.stop() == 0


async def test_what_is_acknowledged_can_be_fetched_at_once(make_archive: MakeArchive, tmp_path: Path) -> None:
    """The Retrieve URL of a STOW response, within the moment that the index is behind."""
    archive = make_archive()
    archive.start()
    for number in range(25):
        file = write(tmp_path / "files", data_set(instance=generate_uid(), study=generate_uid(), name=f"N^{number}"))
        answer = await asyncio.to_thread(post, archive, as_body([file.path.read_bytes()]))
        assert answer.status == 200
        dataset = header(file)
        begun = SystemClock().monotonic()
        for path in (instance_path(file), f"/dicom-web/studies/{dataset.StudyInstanceUID}/metadata"):
            assert archive.http(path)[0] == 200, (number, path, SystemClock().monotonic() - begun)
    assert archive.stop() == 0
