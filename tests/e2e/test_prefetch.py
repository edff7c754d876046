"""Priors from Orthanc and from a second archive of ours, for an order; to an archive in one process, and to one behind
its front door."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gantry.cli.files import DicomFile
from tests.crash.test_prefetch import ended, order, prior
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive, free_port
from tests.support.asking import Modality, uids_of
from tests.support.door import FrontDoor
from tests.support.orthanc import Orthanc
from tests.support.worklist import OrdersClient

pytestmark = pytest.mark.timeout(240)
RULE = "{name: chest, modalities: [CT], ask: [%s], prior_modalities: [CT], within: 9y, most: 2}"


def policy(archive: RunningArchive, title: str, port: int) -> None:
    entry = f"{{ae_title: {title}, host: 127.0.0.1, port: {port}, may: [store, echo]}}"
    routing = f"routing: {{prefetch: [{RULE % title}], retry_first: 1, retry_longest: 2}}\n"
    archive.write_policy([entry], f"http: {{may_order: [loopback]}}\n{routing}")


async def fetched(archive: RunningArchive, priors: dict[int, list[DicomFile]]) -> None:
    await asyncio.to_thread(OrdersClient(archive).place, order())
    (state,) = await ended(archive)
    assert (state["state"], state["completed"], state["failed"]) == ("delivered", 2, 0), state
    for year, files in priors.items():
        where = await asyncio.to_thread(gantry, archive, "where", uids_of(files[0])[0])
        assert (f"{len(files)} instances from" in where.stdout) is (year != 2019), where.stdout


@pytest.mark.parametrize("kind", ["alone", "door"])
async def test_orthanc_sends_the_newest_priors(kind: str, tmp_path: Path) -> None:
    folder, port = tmp_path / "ours", free_port()
    folder.mkdir()
    (folder / "data").mkdir(mode=0o750)
    archive = FrontDoor(folder, scale={"mixed": 0, "query": 0}) if kind == "door" else RunningArchive(folder, lab=False)
    policy(archive, "ORTHANC", port)
    with Orthanc(tmp_path, port, archive.port) as orthanc:
        priors = {year: prior(tmp_path / "files", year) for year in (2019, 2022, 2024)}
        for file in (
            *(file for files in priors.values() for file in files),
            *prior(tmp_path / "x", 2025, patient="P2"),
        ):
            orthanc.upload(file.path)
        archive.start()
        await fetched(archive, priors)
        assert archive.stop() == 0


async def test_a_second_archive_of_ours_sends_the_newest_priors(tmp_path: Path) -> None:
    ours, theirs = (tmp_path / name for name in ("ours", "theirs"))
    ours.mkdir()
    theirs.mkdir()
    archive, deep = RunningArchive(ours, lab=False), RunningArchive(theirs, lab=False)
    policy(archive, "OLD", deep.port)
    us = f"{{ae_title: GANTRY, host: 127.0.0.1, port: {archive.port}, may: [find, retrieve], move_destination: true}}"
    sender = "{ae_title: TEST_SCU, host: 127.0.0.1, may: [store, find]}"
    deep.write_policy([us, sender], "dimse: {ae_title: OLD}\n")
    deep.start()
    archive.start()
    priors = {year: prior(tmp_path / "files", year) for year in (2019, 2022, 2024)}

    for files in priors.values():
        await Modality(replace(deep.peer, called_ae_title="OLD"), files).send_all()
    await asyncio.sleep(2)  # they are searchable there by then
    await fetched(archive, priors)
    assert archive.stop() == 0
    assert deep.stop() == 0
