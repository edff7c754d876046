"""A real server on the loopback interface with services that tests can look into."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.net import Association, MemorySink, Peer, Request, Server, ServerLimits, Sink
from gantry.common.ul import Ability, AssociateReject, AssociateRequest
from tests.support.wire import CT

FAST = ServerLimits(artim=0.5, pdu_deadline=1.0, idle=3.0)


class Echo:
    """C-ECHO and C-STORE into memory; `gate` holds up performing, `status` is answered."""

    def __init__(self) -> None:
        self.abilities = {VERIFICATION: Ability(), CT: Ability(scp=True, scu=True)}
        self.received: list[tuple[str, bytes]] = []
        self.performed = 0
        self.status = 0x0000
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.sink_factory: Callable[[], Sink] = lambda: MemorySink(1 << 26)
        self.most_at_once = self._at_once = 0

    def receive(self, request: Request) -> Sink:
        return self.sink_factory()

    async def perform(self, request: Request) -> None:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await self.gate.wait()
            if self.error is not None:
                raise self.error
            self.performed += 1
            if request.sink is not None:
                self.received.append((request.command.sop_instance_uid, request.data))
            await request.respond(self.status)
        finally:
            self._at_once -= 1


@dataclass
class Seen:
    """Admission and observer."""

    reject: AssociateReject | None = None
    opened_: list[Association] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    rejections: list[tuple[int, int, int]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def admit(
        self, request: AssociateRequest, peer_address: str, tls: bool, certificate: str
    ) -> AssociateReject | None:
        return self.reject

    def opened(self, association: Association) -> None:
        self.opened_.append(association)

    def rejected(self, request: AssociateRequest, reject: AssociateReject, peer_address: str) -> None:
        self.rejections.append((reject.result, reject.source, reject.reason))

    def failed(self, peer_address: str, why: str, certificate: str = "") -> None:
        self.failures.append(why)

    def message(self, association: Association, field: int, seconds: float) -> None: ...

    def closed(self, association: Association, outcome: str) -> None:
        self.outcomes.append(outcome)


@dataclass
class Running:
    server: Server
    service: Echo
    seen: Seen
    port: int

    @property
    def peer(self) -> Peer:
        return Peer("127.0.0.1", self.port, "GANTRY", "TEST")

    async def raw(self, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        return reader, writer


Start = Callable[..., "asyncio.Future[Running]"]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    running: list[Running] = []

    async def start_one(limits: ServerLimits = FAST, services: Sequence[object] = ()) -> Running:
        service, seen = Echo(), Seen()
        server = Server([*services, service], seen, seen, limits=limits)  # type: ignore[list-item]
        running.append(Running(server, service, seen, await server.start("127.0.0.1", 0)))
        return running[-1]

    yield start_one  # type: ignore[misc]
    for scp in running:
        scp.service.gate.set()
        await scp.server.drain(0.5)


async def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        assert loop.time() < end, "it did not come true in time"
        await asyncio.sleep(0.01)
