"""One running commitment role, over DIMSE and HTTP, with its stores."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from blake3 import blake3

from gantry.common.adapters.files import FileStore, open_file_store
from gantry.common.adapters.sqlite import SqliteIndex, SqliteLog, open_sqlite_index, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.config.role_sections import Commitment
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import INDEXED, CommitmentReported, decode
from gantry.common.net import Peer, Server
from gantry.common.ports.index import InstanceEntry, Location
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.server import WebLimits, WebServer
from gantry.services.commitment.app import build_services
from tests.support.following import indexed
from tests.support.network import OpenDoor, Silence

CT = "1.2.840.10008.5.1.4.1.1.2"
PATIENT = Commitment(in_flight_deadline=1800, retry_first=0.05, retry_longest=0.2, report_timeout=3, read_retries=1)
QUICK = Commitment(in_flight_deadline=0.5, retry_first=0.05, retry_longest=0.2, report_timeout=3, read_retries=1)


class AwayIndex:
    """An index that refuses."""

    async def resolve(self, partition: str, uids: Sequence[str]) -> dict[str, list[Location]]:
        raise DependencyUnavailable("index", "away")


@dataclass
class Archive:
    """One running commitment role and what it stands on."""

    store: FileStore
    log: SqliteLog
    folder: Path
    index: SqliteIndex | AwayIndex
    contacts: dict[str, int] = field(default_factory=dict)
    port: int = 0
    url: str = ""

    @property
    def peer(self) -> Peer:
        return Peer("127.0.0.1", self.port, "GANTRY", "MODALITY")

    def contact(self, requester: str, ours: str) -> Peer | None:
        port = self.contacts.get(requester)
        return Peer("127.0.0.1", port, requester, ours, connect_timeout=2, associate_timeout=5) if port else None

    async def keep(self, number: int, size: int = 3_000_000) -> tuple[str, str]:
        """Store an object and index it: (SOP class, SOP instance)."""
        await self.index.apply([await self.put(number, size)])
        return CT, f"1.2.3.{number}"

    async def put(self, number: int, size: int = 1000) -> InstanceEntry:
        """Store an object; what the indexer will say of it."""
        data = random.Random(number).randbytes(size)
        key = f"objects/default/0/{number:032x}.dcm"
        await self.store.put(key, [bytes(300), data])
        digest = f"blake3:{blake3(data).hexdigest()}"
        uid, syntax = f"1.2.3.{number}", "1.2.840.10008.1.2"
        return InstanceEntry("default", f"{number:032x}", "1.2", "1.3", uid, CT, syntax, key, 300, size, digest)

    async def indexers_pass(self) -> None:
        """The indexers' group takes and commits what is on the log."""
        async with self.log.consumer("indexer", list(INDEXED)) as consumer:
            while not await indexed(self.log):
                await consumer.commit(await consumer.poll())

    async def events(self) -> list[object]:
        return [decode(record.payload) async for record in self.log.replay("commitment")]

    async def reported(self, count: int = 1) -> list[CommitmentReported]:
        async with asyncio.timeout(20):
            while True:
                reports = [event for event in await self.events() if isinstance(event, CommitmentReported)]
                if len(reports) >= count:
                    return reports
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def running(self, settings: Commitment = QUICK) -> AsyncIterator[None]:
        services, handlers, worker = await build_services(
            self.store, self.index, self.log, self.contact, SystemClock(), Metrics(), settings
        )
        server = Server(services, OpenDoor(), Silence())
        self.port = await server.start("127.0.0.1", 0)
        web = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None)), WebLimits())
        web.serve(handlers)
        await web.start()
        self.url = f"http://127.0.0.1:{web.port}"
        working = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            assert not working.done()
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
            await web.close()
            await server.drain(0.5)


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    store = await open_file_store(tmp_path / "objects", low_water=0)
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    index = await open_sqlite_index(tmp_path / "index.db")
    archive = Archive(store, log, tmp_path, index)
    await archive.indexers_pass()
    yield archive
    await index.close()
    await log.close()
    await store.close()
