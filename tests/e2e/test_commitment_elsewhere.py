"""Storage commitment by real archives of what was sent on to them: Orthanc, and a second archive of ours; to an archive
in one process, and to one behind its front door, where the report comes to another process than the one that asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gantry.cli.files import DicomFile
from tests.crash.test_deletion import send
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import uids_of
from tests.support.door import FrontDoor
from tests.support.objects import study
from tests.support.orthanc import Orthanc
from tests.support.ports import free_port

pytestmark = pytest.mark.timeout(240)
SETTINGS = (
    "http: {may_delete: [loopback]}\n"
    "completion: {quiet: 0.5}\n"
    "commitment: {retry_first: 0.5, in_flight_deadline: 5}\n"
    "lifecycle: {retention: [{name: deep first, keep: 1d, committed_by: [%(deep)s]}]}\n"
    "routing: {rules: [{name: deep, to: [%(deep)s], commit: true}], retry_first: 1, retry_longest: 2,"
    " commit_wait: %(wait)s, commit_within: 60}\n"
)
ALONE = {"mixed": 0, "orders": 0}


def policy(archive: RunningArchive, deep: str, port: int, wait: float) -> None:
    entry = f"{{ae_title: {deep}, host: 127.0.0.1, port: {port}, may: [commit, echo], move_destination: true}}"
    sender = "{ae_title: TEST_SCU, host: 127.0.0.1, may: [store, find, echo]}"
    archive.write_policy([entry, sender], SETTINGS % {"deep": deep, "wait": wait})


@contextmanager
def running(kind: str, folder: Path, deep: str, port: int, wait: float) -> Iterator[RunningArchive]:
    folder.mkdir()
    (folder / "data").mkdir(mode=0o750)
    archive = FrontDoor(folder, scale=ALONE) if kind == "door" else RunningArchive(folder, lab=False)
    policy(archive, deep, port, wait)
    try:
        yield archive
    finally:
        if archive.alive:
            assert archive.stop() == 0


async def committed(archive: RunningArchive) -> dict[str, Any]:
    async with asyncio.timeout(90):
        while True:
            result = await asyncio.to_thread(gantry, archive, "routes", "list", "--all", "--json")
            states = [json.loads(line) for line in result.stdout.splitlines()]
            for state in states:
                if state["kind"] == "commitment" and state["state"] in ("delivered", "failed"):
                    return dict(state)
            await asyncio.sleep(0.5)


async def sent_and_committed(archive: RunningArchive, files: list[DicomFile], deep: str) -> dict[str, Any]:
    await send(archive, files)
    route = await committed(archive)
    assert (route["state"], route["completed"], route["failed"]) == ("delivered", len(files), 0), route
    uid, _ = uids_of(files[0])
    where = await asyncio.to_thread(gantry, archive, "where", uid)
    assert f"{len(files)} instances by {deep}, which reported at" in where.stdout, where.stdout
    deleted = await asyncio.to_thread(gantry, archive, "delete", uid, "--reason", "it is deep")
    assert deleted.returncode == 0, deleted.stderr
    return route


@pytest.mark.parametrize("kind", ["alone", "door"])
async def test_orthanc_takes_responsibility_and_says_so_on_an_association_that_it_opens(
    kind: str, tmp_path: Path
) -> None:
    port = free_port()
    with running(kind, tmp_path / "ours", "ORTHANC", port, 0.0) as archive:
        with Orthanc(tmp_path, port, archive.port) as orthanc:
            archive.start()
            files = study(tmp_path / "files", 4, patient="DEEP-1")
            await sent_and_committed(archive, files, "ORTHANC")
            assert all(orthanc.file_of(file.sop_instance_uid) for file in files)


@pytest.mark.parametrize("wait", [10.0, 0.0], ids=["same association", "one that it opens"])
async def test_a_second_archive_of_ours_takes_responsibility(wait: float, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    deep = RunningArchive(tmp_path / "deep", lab=False)
    with running("alone", tmp_path / "ours", "DEEP", deep.port, wait) as archive:
        entry = f"{{ae_title: GANTRY, host: 127.0.0.1, port: {archive.port}, may: [store, commit]}}"
        deep.write_policy([entry], "dimse: {ae_title: DEEP}\ncommitment: {retry_first: 0.5}\n")
        deep.start()
        try:
            archive.start()
            route = await sent_and_committed(archive, study(tmp_path / "files", 3, patient="DEEP-2"), "DEEP")
            # What is answered at once is no try that failed.
            assert route["attempts"] == (0 if wait else 1)
        finally:
            assert deep.stop() == 0
