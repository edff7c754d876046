"""One archive per test module, closed to strangers, with a policy file that names its peers as a hospital's would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gantry.common.net import Peer
from tests.support.archive import RunningArchive
from tests.support.ports import free_port
from tests.support.topology import TOPOLOGIES, environment, remove_stores
from tests.support.waiting import calling

EVERYTHING = "[store, find, retrieve, commit, echo]"


@dataclass(frozen=True)
class Site:
    """The archive, its peers' AE titles and where they listen, when they do."""

    archive: RunningArchive
    ports: dict[str, int]

    @property
    def modality(self) -> Peer:
        """The archive as MODALITY calls it."""
        return calling(self.archive.peer, "MODALITY")

    @property
    def address(self) -> tuple[object, ...]:
        """For DCMTK: who calls whom, and where."""
        return "-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", self.archive.port


@pytest.fixture(scope="module", params=TOPOLOGIES)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("site")
    ports = {title: free_port() for title in ("MODALITY", "DEST", "OTHER_DEST", "ORTHANC")}
    entries = [
        f"{{ae_title: {title}, host: 127.0.0.1, port: {port}, may: {EVERYTHING}, move_destination: true}}"
        for title, port in ports.items()
    ]
    entries.append("{ae_title: VIEWER, host: 127.0.0.1, may: [find, echo]}")
    settings = (
        "retrieve: {suboperation_retries: 1, retry_delay: 0.1}\ncommitment: {retry_first: 0.5, in_flight_deadline: 4}\n"
    )
    archive = RunningArchive(folder, lab=False, environment=environment(request.param, folder))
    archive.write_policy(entries, settings)
    try:
        archive.start()
        yield Site(archive, ports)
        assert archive.alive, archive.log.read_text()
    finally:
        archive.stop()
        remove_stores(archive.environment)
