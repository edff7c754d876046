"""Studies that only Orthanc has are retrieved from us, with DCMTK and over HTTP; in both topologies. Two archives of
ours that fetch from each other do not do so in turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_MOVE
from gantry.common.dicom.standard.tags import QUERY_RETRIEVE_LEVEL, STUDY_INSTANCE_UID
from gantry.common.dimse import Command
from gantry.common.net import Peer, connect
from gantry.common.net.scu import move
from tests.crash.test_prefetch import prior
from tests.support.archive import RunningArchive
from tests.support.asking import Modality
from tests.support.dcmtk import ok
from tests.support.dicom import EXPLICIT
from tests.support.orthanc import Orthanc
from tests.support.ports import free_port
from tests.support.topology import TOPOLOGIES, environment, remove_stores

pytestmark = pytest.mark.timeout(240)


@contextmanager
def two_archives(
    folder: Path, topology: str, orthanc: int, reader: int
) -> Iterator[tuple[RunningArchive, RunningArchive]]:
    """Ours, and OLD: each fetches from the other one, and lets it fetch as workstations do."""
    folders = [folder / name for name in ("ours", "theirs")]
    for root in folders:
        root.mkdir()
    stores = environment(topology, folders[0])
    ours = RunningArchive(folders[0], lab=False, environment=stores)
    old = RunningArchive(folders[1], lab=False)
    entry = "{ae_title: %s, host: 127.0.0.1, port: %d, may: [find, retrieve, store, echo], federated: true, %s}"
    readers = [
        entry % ("READER", reader, "move_destination: true"),
        "{ae_title: PLAIN, host: 127.0.0.1, may: [find, retrieve]}",
        "{ae_title: SOME, host: 127.0.0.1, may: [retrieve], federated: true, sees: [{institution: [North]}]}",
        "{ae_title: TEST_SCU, host: 127.0.0.1, may: [store, find]}",
    ]
    fetch = "federation: {fetch: true, archives: [%s]}\n"
    destination = "move_destination: true"
    ours.write_policy(
        [entry % ("OLD", old.port, destination), entry % ("ORTHANC", orthanc, destination), *readers],
        fetch % "{ae_title: OLD, deadline: 10}, {ae_title: ORTHANC, deadline: 10}",
    )
    old.write_policy(
        [entry % ("GANTRY", ours.port, destination), *readers],
        "dimse: {ae_title: OLD}\n" + fetch % "{ae_title: GANTRY, deadline: 10}",
    )
    try:
        yield ours.start(), old.start()
    finally:
        ours.kill()
        old.kill()
        remove_stores(stores)


async def moved(peer: Peer, study: str, destination: str = "READER") -> list[Command]:
    """The responses to a C-MOVE."""
    keys = encode_identifier({QUERY_RETRIEVE_LEVEL: ["STUDY"], STUDY_INSTANCE_UID: [study]}, EXPLICIT)
    async with connect(peer, [(STUDY_ROOT_MOVE, (EXPLICIT,))]) as association:
        return [command async for command, _ in move(association, STUDY_ROOT_MOVE, keys, destination)]


def status_of(archive: RunningArchive, study: str, query: str = "") -> tuple[int, int]:
    """The status of a study's metadata, and of how many instances it is."""
    status, body = archive.http(f"/dicom-web/studies/{study}/metadata{query}")
    return status, len(json.loads(body)) if status == 200 else 0


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_what_only_orthanc_has_is_retrieved_from_us(topology: str, tmp_path: Path) -> None:
    port, reader = free_port(), free_port()
    with two_archives(tmp_path, topology, port, reader) as (ours, old), Orthanc(tmp_path, port, ours.port) as orthanc:
        files = {year: prior(tmp_path / "files", year, instances=3) for year in (2019, 2021, 2022, 2023, 2024)}
        uids = {year: str(dcmread(batch[0].path).StudyInstanceUID) for year, batch in files.items()}
        for file in (*files[2021], *files[2022], *files[2023]):
            orthanc.upload(file.path)
        theirs = replace(old.peer, called_ae_title="OLD")
        await Modality(theirs, files[2024]).send_all()

        # Who may not, or is one of the archives, gets what is here: nothing.
        for calling in ("PLAIN", "SOME", "OLD", "ORTHANC"):
            (final,) = await moved(replace(ours.peer, calling_ae_title=calling), uids[2022])
            assert (final.status, ours.metric("gantry_federated_fetches_total")) == (0, 0)
        assert status_of(ours, uids[2022]) == (404, 0)

        got = tmp_path / "got"
        got.mkdir()
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uids[2022]}"]
        calls = ["-S", "-aet", "READER", "-aec", "GANTRY", "-aem", "READER", "+P", reader, "-od", got]
        await asyncio.to_thread(ok, "movescu", *calls, *keys, "127.0.0.1", ours.port)
        assert len(list(got.iterdir())) == 3
        assert status_of(ours, uids[2022]) == (200, 3)

        assert status_of(ours, uids[2023]) == (404, 0)
        by_get = tmp_path / "by-get"
        by_get.mkdir()
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uids[2021]}"]
        await asyncio.to_thread(
            ok, "getscu", "-S", "-aet", "READER", "-aec", "GANTRY", "-od", by_get, *keys, "127.0.0.1", ours.port
        )
        assert len(list(by_get.iterdir())) == 3
        assert await asyncio.to_thread(status_of, ours, uids[2023], "?federated=true") == (200, 3)
        assert await asyncio.to_thread(status_of, ours, uids[2024], "?federated=true") == (200, 3)
        assert ours.metric('gantry_federated_fetches_total{ae_title="ORTHANC",outcome="fetched"}') == 3
        assert ours.metric('gantry_federated_fetches_total{ae_title="OLD",outcome="fetched"}') == 1

        # What nobody has is not looked for in turn.
        for archive in (ours, old):
            async with asyncio.timeout(10):
                assert await asyncio.to_thread(status_of, archive, uids[2019], "?federated=true") == (404, 0)
        assert old.metric("gantry_federated_fetches_total") == 0
        # OLD asks us, who do not fetch for it: of what Orthanc has it gets what came here, and no more.
        for file in files[2019]:
            orthanc.upload(file.path)
        assert await asyncio.to_thread(status_of, old, uids[2019], "?federated=true") == (404, 0)
        assert ours.stop() == 0
