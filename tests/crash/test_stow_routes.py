"""Studies that rules send to web servers by STOW-RS, on the whole archive, in both topologies, to foreign ones and to
our own: everything arrives once the server is there, whatever is killed."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from gantry.common.deidentify.pseudonyms import Pseudonyms
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_deletion import send
from tests.crash.test_routing import listed, until_delivered
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, expect_exactly, uids_of, until
from tests.support.objects import bytes_of, data_set, study, write
from tests.support.orthanc import Orthanc
from tests.support.ports import free_port
from tests.support.stow_server import stow_server

pytestmark = pytest.mark.timeout(240)
KEY = b"a key of the tests, long enough"
SETTINGS = """\
completion: {quiet: 0.5}
deidentification: {profiles: [{name: trial, key_file: %s}]}
routing:
  servers: [%s]
  rules: [%s]
  retry_first: 1
  retry_longest: 2
  refused: 2
"""
ALL = "{name: everything, to: [CLOUD]}"


def server(port: int, name: str = "CLOUD", more: str = "") -> str:
    return f"{{name: {name}, url: 'http://127.0.0.1:{port}/dicom-web', plain: true, response_timeout: 20{more}}}"


def routing(archive: RunningArchive, servers: str, rules: str = ALL) -> RunningArchive:
    (key := archive.folder / "key").write_bytes(KEY)
    archive.write_policy(
        ["{ae_title: TEST_SCU, host: 127.0.0.1, may: [store, find, echo, retrieve]}"], SETTINGS % (key, servers, rules)
    )
    return archive


@pytest.fixture
def other(tmp_path: Path) -> Iterator[RunningArchive]:
    """A second archive, which is not started."""
    (folder := tmp_path / "other").mkdir()
    archive = RunningArchive(folder)
    yield archive
    archive.kill()


async def test_a_study_goes_to_orthanc_and_to_another_gantry_and_what_comes_late_alone_follows(
    make_archive: MakeArchive, other: RunningArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    with Orthanc(tmp_path, free_port(), archive.port, archive.http_port) as orthanc:
        other.start()
        servers = f"{server(orthanc.http_port, 'ORTHANC', ', most: 2')}, {server(other.http_port)}"
        routing(archive, servers, "{name: everything, to: [ORTHANC, CLOUD]}").start()
        files = study(tmp_path / "files", 5, series=2, patient="P1")
        await send(archive, files)
        states = await until_delivered(archive, 2)
        assert [(state["completed"], state["failed"]) for state in states] == [(5, 0), (5, 0)]
        assert {state["destination"] for state in states} == {"ORTHANC", "CLOUD"}
        for file in files:
            came = pydicom.dcmread(io.BytesIO(orthanc.file_of(file.sop_instance_uid)))
            assert came.to_json_dict() == pydicom.dcmread(file.path).to_json_dict()
        await expect_exactly(other, files, tmp_path / "got")
        uid, series = uids_of(files[0])
        late = write(tmp_path / "late", data_set(study=uid, series=series, number=9, patient="P1"))
        await Modality(archive.peer, [late, files[0]]).send_all()
        states = await until_delivered(archive, 4)
        assert sorted(state["completed"] for state in states) == [1, 1, 5, 5]
        assert len(orthanc.get("/instances")) == 6
        async with asyncio.timeout(60):  # who got what is told beside the work
            while "CLOUD" not in (await asyncio.to_thread(gantry, archive, "where", uid)).stdout:
                await asyncio.sleep(0.2)
        assert archive.stop() == 0


async def test_a_server_that_is_away_gets_everything_when_it_comes_whatever_is_killed(
    make_archive: MakeArchive, other: RunningArchive, tmp_path: Path
) -> None:
    archive = routing(make_archive(), server(other.http_port)).start()
    first, second = study(tmp_path / "one", 3, patient="P1"), study(tmp_path / "two", 2, patient="P2")
    await send(archive, first, second)
    async with asyncio.timeout(60):
        while len(states := await listed(archive)) != 2 or not any(state["attempts"] for state in states):
            await asyncio.sleep(0.3)
    assert any("CLOUD cannot be reached" in state["why"] for state in states)
    archive.kill()
    other.start()
    # It dies with a study sent, and that not said.
    archive.start(failpoints="before-publish=kill@1", ready=False)
    await asyncio.to_thread(archive.wait_dead, 60)
    archive.start(ready=False)
    await asyncio.sleep(0.7)
    archive.kill()
    archive.start()
    await until_delivered(archive, 2)
    await expect_exactly(other, [*first, *second], tmp_path / "got")
    assert archive.stop() == 0


@embedded
async def test_what_a_server_does_not_take_fails_alone_and_is_sent_again_by_a_person(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    files = study(tmp_path / "files", 3, patient="P1")
    bad = files[1].sop_instance_uid
    async with stow_server() as cloud:
        cloud.refuses = {bad: 0xA900}
        archive = routing(make_archive(), server(cloud.port)).start()
        await send(archive, files)
        await until(lambda: len(cloud.posted) == 2)
        async with asyncio.timeout(30):
            while not (failed := await listed(archive, "--failed")):
                await asyncio.sleep(0.3)
        (state,) = failed
        assert (state["completed"], state["failed"], state["attempts"]) == (2, 1, 1), state
        assert state["why"] == "CLOUD did not take 1 instances: A900H"
        assert [sorted(upload.uids) == [bad] for upload in cloud.posted] == [False, True]
        cloud.refuses = {}
        done = await asyncio.to_thread(gantry, archive, "routes", "retry", "--all")
        assert done.returncode == 0, done.stderr
        await until(lambda: len(cloud.kept) == 3)
        assert cloud.posted[-1].uids == [bad]
        assert cloud.kept[bad].endswith(bytes_of(files[1]))
        assert archive.stop() == 0


@embedded
async def test_what_waits_for_a_server_can_be_cancelled(make_archive: MakeArchive, tmp_path: Path) -> None:
    port = free_port()
    archive = routing(make_archive(), server(port)).start()
    await send(archive, study(tmp_path / "files", 1, patient="P1"))
    async with asyncio.timeout(60):
        while not await listed(archive):
            await asyncio.sleep(0.3)
    done = await asyncio.to_thread(gantry, archive, "routes", "cancel", "--destination", "CLOUD")
    assert done.returncode == 0, done.stderr
    async with stow_server(port) as cloud:
        await asyncio.sleep(4)
        assert cloud.posted == []
    (state,) = await listed(archive, "--all")
    assert state["state"] == "cancelled"
    assert archive.stop() == 0


async def test_a_server_gets_objects_that_name_nobody_where_a_rule_says_so(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    async with stow_server() as cloud:
        rule = "{name: to the trial, to: [CLOUD], deidentify: trial}"
        archive = routing(make_archive(), server(cloud.port), rule).start()
        files = study(tmp_path / "files", 2, patient="4711", name="Brenner^Jo")
        burned = write(tmp_path / "b", data_set(study=uids_of(files[0])[0], patient="4711", BurnedInAnnotation="YES"))
        await send(archive, [*files, burned])
        (state,) = await until_delivered(archive, 1)
        assert (state["completed"], state["withheld"], set(state["reasons"])) == (2, 1, {burned.sop_instance_uid})
        names = Pseudonyms(KEY)
        assert set(cloud.kept) == {names.uid(file.sop_instance_uid) for file in files}
        for uid, content in cloud.kept.items():
            came = pydicom.dcmread(io.BytesIO(content))
            assert (came.file_meta.MediaStorageSOPInstanceUID, came.SOPInstanceUID) == (uid, uid)
            assert came.PatientIdentityRemoved == "YES"
            assert b"Brenner" not in content
            assert b"4711" not in content
        assert archive.stop() == 0


@embedded
async def test_a_name_that_an_ae_title_has_too_is_refused_at_the_start(make_archive: MakeArchive) -> None:
    archive = routing(make_archive(), server(free_port(), "TEST_SCU"), "{name: everything, to: [TEST_SCU]}")
    archive.start(ready=False)
    await asyncio.to_thread(archive.wait_dead, 60)
    assert "TEST_SCU is an AE title of `peers`, too" in archive.log.read_text()
