"""A cluster that a test may harm: servers of its own behind links that can be cut, and every role a process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from gantry.cli.files import DicomFile
from gantry.cli.store import send_files
from gantry.common.errors import PeerError
from gantry.common.net import Peer
from gantry.services.roles import Role
from tests.support.link import Link
from tests.support.objects import data_set, write
from tests.support.own import OwnServer
from tests.support.ports import free_port
from tests.support.roles import RunningRoles
from tests.support.server import Unavailable
from tests.support.topology import cluster_environment

SETTINGS = (
    "storage: {deadline: 5}\n"
    "upkeep: {seal_every: 1, sweep_every: 0}\n"
    "commitment: {retry_first: 0.5, in_flight_deadline: 10}\n"
)
DEADLINE = 5.0
"""`storage.deadline`: a sender hears within it what became of its object."""


@dataclass
class Load:
    """A modality that sends one small study after the other, and sends again what was not acknowledged."""

    peer: Peer
    folder: Path
    files: list[DicomFile] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    statuses: set[int] = field(default_factory=set)
    slowest: float = 0.0
    stopping: bool = False

    async def run(self) -> None:
        """Send until `stopping`, and then what is left."""
        while not self.stopping:
            uid, series = generate_uid(), generate_uid()
            self.files += [
                write(self.folder, data_set(study=uid, series=series, number=n, size=24, patient=f"P{n % 2}"))
                for n in range(4)
            ]
            await self._attempt()
        async with asyncio.timeout(60):
            while self.left:
                await self._attempt()

    @property
    def left(self) -> list[DicomFile]:
        return [file for file in self.files if file.sop_instance_uid not in self.acknowledged]

    async def _attempt(self) -> None:
        loop = asyncio.get_running_loop()
        since = loop.time()

        def done(file: DicomFile, status: int | None) -> None:
            nonlocal since
            self.slowest, since = max(self.slowest, loop.time() - since), loop.time()
            if status is not None:
                self.statuses.add(status)
            if status == 0x0000:
                self.acknowledged.add(file.sop_instance_uid)

        try:
            await send_files(self.peer, self.left, timeout=30.0, done=done)
        except PeerError:
            pass
        await asyncio.sleep(0.05 if not self.left else 0.5)


@dataclass
class Cluster:
    """What a test harms."""

    folder: Path
    servers: dict[str, OwnServer]
    links: dict[str, Link]
    roles: RunningRoles
    environment: dict[str, str]

    def load(self, name: str = "load") -> Load:
        return Load(self.roles.peer(Role.INGEST), self.folder / name)


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, OwnServer]]:
    folder = tmp_path_factory.mktemp("servers")
    started: dict[str, OwnServer] = {}
    port = free_port()
    try:
        for name, advertised in (("opensearch", 0), ("kafka", port), ("s3", 0)):
            started[name] = OwnServer(name, folder / name, advertised)
        yield started
    except Unavailable as error:
        pytest.skip(f"no servers to harm: {error}")
    finally:
        for server in started.values():
            server.remove()


@pytest.fixture
async def cluster(own_servers: dict[str, OwnServer], tmp_path: Path) -> AsyncIterator[Cluster]:
    links = {name: Link(server.port) for name, server in own_servers.items()}
    ports = {name: free_port() for name in links} | {"kafka": own_servers["kafka"].advertised}
    for name, link in links.items():
        await link.start(ports[name])
    keys = own_servers["s3"].server.address.split()[1:]
    environment = await asyncio.to_thread(
        cluster_environment,
        tmp_path,
        " ".join([f"http://127.0.0.1:{ports['s3']}", *keys]),
        f"127.0.0.1:{ports['kafka']}",
        f"http://127.0.0.1:{ports['opensearch']}",
    )
    roles = RunningRoles(tmp_path / "roles", environment, SETTINGS)
    try:
        await asyncio.to_thread(roles.start)
        yield Cluster(tmp_path, own_servers, links, roles, environment)
    finally:
        roles.end()
        for link in links.values():
            await link.close()


@pytest.fixture
def dice() -> random.Random:
    """Its seed is printed where the test fails."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)
