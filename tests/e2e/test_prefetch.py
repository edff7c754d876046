"""Priors from Orthanc and from a second archive of ours, for an order; to an archive in one process, and to one behind
its front door."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gantry.cli.files import DicomFile
from gantry.common.net import Peer
from tests.crash.test_prefetch import ended, order, prior
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, uids_of
from tests.support.dcmtk import tool
from tests.support.door import FrontDoor
from tests.support.orthanc import Orthanc
from tests.support.ports import free_port
from tests.support.worklist import OrdersClient

pytestmark = pytest.mark.timeout(240)
RULE = "{name: chest, modalities: [CT], ask: [%s], prior_modalities: [CT], within: 9y, most: 2}"


def policy(archive: RunningArchive, title: str, port: int, by: str = "move") -> None:
    entry = f"{{ae_title: {title}, host: 127.0.0.1, port: {port}, may: [store, echo]}}"
    rule = (RULE % title).replace("name: chest", f"name: chest, by: {by}")
    routing = f"routing: {{prefetch: [{rule}], retry_first: 1, retry_longest: 2}}\n"
    archive.write_policy([entry], f"http: {{may_order: [loopback]}}\n{routing}")


async def fetched(archive: RunningArchive, priors: dict[int, list[DicomFile]]) -> None:
    await asyncio.to_thread(OrdersClient(archive).place, order())
    (state,) = await ended(archive)
    assert (state["state"], state["completed"], state["failed"]) == ("delivered", 2, 0), state
    for year, files in priors.items():
        where = await asyncio.to_thread(gantry, archive, "where", uids_of(files[0])[0])
        assert (f"{len(files)} instances from" in where.stdout) is (year != 2019), where.stdout


@pytest.mark.parametrize(("kind", "by"), [("alone", "move"), ("door", "move"), ("alone", "get"), ("door", "get")])
async def test_orthanc_sends_the_newest_priors(kind: str, by: str, tmp_path: Path) -> None:
    folder, port = tmp_path / "ours", free_port()
    folder.mkdir()
    (folder / "data").mkdir(mode=0o750)
    archive = FrontDoor(folder, scale={"mixed": 0, "query": 0}) if kind == "door" else RunningArchive(folder, lab=False)
    policy(archive, "ORTHANC", port, by)
    # By C-GET nobody need know where we are.
    with Orthanc(tmp_path, port, archive.port if by == "move" else free_port()) as orthanc:
        priors = {year: prior(tmp_path / "files", year) for year in (2019, 2022, 2024)}
        for file in (
            *(file for files in priors.values() for file in files),
            *prior(tmp_path / "x", 2025, patient="P2"),
        ):
            orthanc.upload(file.path)
        archive.start()
        await fetched(archive, priors)
        assert archive.stop() == 0


@pytest.mark.parametrize("by", ["move", "get"])
async def test_a_second_archive_of_ours_sends_the_newest_priors(by: str, tmp_path: Path) -> None:
    ours, theirs = (tmp_path / name for name in ("ours", "theirs"))
    ours.mkdir()
    theirs.mkdir()
    archive, deep = RunningArchive(ours, lab=False), RunningArchive(theirs, lab=False)
    policy(archive, "OLD", deep.port, by)
    is_destination = str(by == "move").lower()
    us = f"{{ae_title: GANTRY, host: 127.0.0.1, port: {archive.port}, may: [find, retrieve], "
    us += f"move_destination: {is_destination}}}"
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


@contextmanager
def dcmqrscp(folder: Path) -> Iterator[int]:
    """DCMTK's archive, AE title OLD, which knows no destinations."""
    storage, port = folder / "storage", free_port()
    storage.mkdir(parents=True)
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 8\nHostTable BEGIN\nHostTable END\n"
        f"VendorTable BEGIN\nVendorTable END\nAETable BEGIN\nOLD {storage} RW (100, 1gb) ANY\nAETable END\n"
    )
    process = subprocess.Popen([tool("dcmqrscp"), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(20)


async def test_dcmqrscp_which_knows_no_destinations_gives_the_newest_priors(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    archive = RunningArchive(ours, lab=False)
    with dcmqrscp(tmp_path / "theirs") as port:
        policy(archive, "OLD", port, "get")
        # It knows neither Modalities in Study nor how many instances there are.
        archive.config.write_text(archive.config.read_text().replace("prior_modalities: [CT], ", ""))
        archive.start()
        priors = {year: prior(tmp_path / "files", year) for year in (2019, 2022, 2024)}
        for files in priors.values():
            await Modality(Peer("127.0.0.1", port, "OLD", "TEST_SCU"), files).send_all()
        await fetched(archive, priors)
        assert archive.stop() == 0
