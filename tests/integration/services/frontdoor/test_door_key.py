"""The key between door and services, on real sockets: which proofs are accepted, and how forged ones from the same
range are refused."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from secrets import token_hex

import aiohttp
import pytest
from aiohttp import web

from gantry.common.clock import Clock, ManualClock, SystemClock
from gantry.common.net import Server, ServerLimits, connect, scu
from gantry.common.net.acceptor import Acceptor, listen
from gantry.common.net.client import Peer
from gantry.common.net.proxy import LOCAL, Origin, encode
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.bodies import BodyWriter
from gantry.common.web.origins import PROOF
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import CALLER, WebServer
from gantry.common.web.sockets import ServerSocket
from gantry.services.frontdoor.backends import Backends
from gantry.services.frontdoor.dimse import DimseDoor
from gantry.services.frontdoor.routing import Pool
from gantry.services.frontdoor.web import Forwarder
from gantry.services.process.door_key import DoorKey, OriginProver, ProvenOrigins
from tests.integration.common.net.conftest import FAST, Echo, Seen, eventually
from tests.integration.services.frontdoor.behind import behind
from tests.integration.services.frontdoor.open_door import LIMITS
from tests.support.wire import CT, EXPLICIT, IMPLICIT, VERIFICATION, rq_bytes

NEAR = ip_network("127.0.0.0/8")
LIED = "192.0.2.7"
STUDIES = "/dicom-web/studies"


class Street:
    """A service with the key and a door with the key: DIMSE and HTTP of each."""

    def __init__(self, folder: Path) -> None:
        self.stack = AsyncExitStack()
        self.file = folder / "key"
        self.replace_key(token_hex(32))
        self.metrics, self.seen, self.echo = Metrics(), Seen(), Echo()
        self.callers: list[str] = []
        self.proofs: list[str] = []
        self.clock = SystemClock()
        self.dimse_port = self.http_port = 0

    def replace_key(self, *keys: str) -> None:
        new = self.file.with_suffix(".new")
        new.write_text("\n".join(keys))
        os.replace(new, self.file)

    async def open(self) -> Street:
        refused = self.metrics.origins_refused
        origins = ProvenOrigins(
            DoorKey(self.file), self.clock, lambda protocol, kind: refused.labels(protocol, kind).inc()
        )
        limits: ServerLimits = replace(FAST, proxy_from=(NEAR,))
        server = Server([self.echo], self.seen, self.seen, limits=limits, origins=origins)
        self.dimse_port = await server.start("127.0.0.1", 0)
        self.stack.push_async_callback(server.drain, 0.5)
        service = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None), (NEAR,), origins=origins))
        service.serve(dict.fromkeys(Resource, self._answer))
        await service.start()
        self.stack.push_async_callback(service.close)
        self.http_port = service.port
        return self

    async def _answer(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        self.callers.append(str(request[CALLER].address))
        self.proofs.append(request.headers.get(PROOF, ""))
        if match.resource is Resource.CHANGE_FEED:
            socket = ServerSocket(request, SystemClock(), 5.0)
            socket.check()
            response = await socket.open()
            await socket.send("a change")
            await socket.close(4001, "enough")
            return response
        if match.resource is Resource.CHANGES:
            out = BodyWriter(request, 5.0)
            await out.begin(200, {"Content-Type": "text/event-stream"})
            await out.write(b"data: a change\n\n")
            return await out.end()
        return web.Response(text=f"{len(await request.read())}")

    def prover(self, clock: Clock | None = None, file: Path | None = None) -> OriginProver:
        return OriginProver(DoorKey(file or self.file), clock or self.clock)

    def door(self, prover: OriginProver | None = None, *, balanced: bool = False) -> Peer:
        """A door before the service; how a modality, or a balancer before the door, calls it."""
        archive = behind({Pool.INGEST: [self.dimse_port]}, Metrics())
        archive.header = (prover or self.prover()).header
        door = DimseDoor(lambda *_: archive, {CT}, LIMITS, None, SystemClock(), Metrics())
        sock = listen("127.0.0.1", 0, 64)
        balancers = (NEAR,) if balanced else ()
        acceptor = Acceptor(sock, door.take, door.failed, trusted=balancers, deadline=0.5)
        self.stack.push_async_callback(door.close)
        self.stack.callback(acceptor.close)
        return Peer("127.0.0.1", sock.getsockname()[1], "GANTRY", "TEST")

    async def web_door(self, prover: OriginProver | None = None, *, proving: bool = True) -> aiohttp.ClientSession:
        backends = Backends(leave_alone=5.0)
        for pool in (Pool.INGEST, Pool.QUERY, Pool.RETRIEVE):
            backends.update(pool, [("127.0.0.1", self.http_port)])
        prover = (prover or self.prover()) if proving else None
        forwarder = Forwarder(backends, SystemClock(), 1.0, 5.0, prover)
        self.stack.push_async_callback(forwarder.close)
        door = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None)))
        door.serve(forwarder.handlers())
        await door.start()
        self.stack.push_async_callback(door.close)
        return await self.stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{door.port}"))

    async def liar(self) -> aiohttp.ClientSession:
        """Whoever asks the service itself, from an address of its `proxy_from`."""
        return await self.stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{self.http_port}"))

    async def first_byte(self, data: bytes) -> int | None:
        """The type of the first PDU that the service answers these bytes with."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.dimse_port)
        writer.write(data)
        try:
            octets = await asyncio.wait_for(reader.read(1), 5)
        except ConnectionResetError:
            octets = b""
        writer.close()
        return octets[0] if octets else None

    @property
    def here(self) -> tuple[str, int]:
        return "127.0.0.1", self.dimse_port

    def refused(self, protocol: str, kind: str) -> float:
        return float(self.metrics.origins_refused.labels(protocol, kind)._value.get())


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    fixture = await Street(tmp_path).open()
    yield fixture
    await fixture.stack.aclose()


# ---- DIMSE


async def test_echo_and_store_pass_the_door(street: Street) -> None:
    async with connect(street.door(), [(CT, (EXPLICIT,)), (VERIFICATION, (IMPLICIT,))]) as association:
        assert await scu.echo(association) == 0
    assert street.seen.opened_[0].peer_address == "127.0.0.1"


async def test_the_door_takes_a_balancers_plain_header_and_proves_the_peer_that_it_names(street: Street) -> None:
    peer = street.door(balanced=True)
    plain = encode(Origin(LIED, 40000), ("127.0.0.1", peer.port))
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.port)
    writer.write(plain + rq_bytes(contexts=[(1, VERIFICATION, (IMPLICIT,)), (3, CT, (EXPLICIT,))]))
    assert (await asyncio.wait_for(reader.readexactly(1), 5))[0] == 2
    writer.close()
    assert street.seen.opened_[0].peer_address == LIED
    assert street.refused("dimse", "missing") == 0


@pytest.mark.parametrize("tls", [False, True])
async def test_a_claim_without_proof_is_refused_and_counted(street: Street, tls: bool) -> None:
    header = encode(Origin(LIED, 40000, tls), street.here)
    assert await street.first_byte(header + rq_bytes()) is None
    await eventually(lambda: len(street.seen.failures) == 1)
    assert street.seen.failures == ["unproven PROXY header: no proof by the key of door.key_file"]
    assert (street.refused("dimse", "missing"), street.seen.opened_) == (1, [])


async def test_a_claim_by_another_key_is_refused(street: Street, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text(token_hex(32))
    header = street.prover(file=other).header(Origin(LIED, 40000), street.here)
    assert await street.first_byte(header + rq_bytes()) is None
    assert street.refused("dimse", "forged") == 1


async def test_a_captured_header_is_refused(street: Street) -> None:
    header = street.prover().header(Origin(LIED, 40000), street.here)
    assert [await street.first_byte(header + rq_bytes()) for _ in range(2)] == [2, None]
    await eventually(lambda: street.seen.failures == ["unproven PROXY header: the proof was used before"])
    assert street.refused("dimse", "replayed") == 1


async def test_a_header_for_another_process_is_refused(street: Street) -> None:
    header = street.prover().header(Origin(LIED, 40000), ("127.0.0.1", street.dimse_port + 1))
    assert await street.first_byte(header + rq_bytes()) is None
    assert street.refused("dimse", "destination") == 1


@pytest.mark.parametrize("apart", [-40, 40])
async def test_a_header_of_another_time_is_refused(street: Street, apart: int) -> None:
    clock = ManualClock(street.clock.now_us() + apart * 1_000_000)
    assert await street.first_byte(street.prover(clock).header(Origin(LIED, 1), street.here) + rq_bytes()) is None
    assert street.refused("dimse", "time") == 1


async def test_whoever_speaks_for_itself_needs_no_key(street: Street) -> None:
    assert await street.first_byte(LOCAL + rq_bytes()) == 2
    assert street.seen.opened_[0].peer_address == "127.0.0.1"


async def test_a_key_is_replaced_while_door_and_service_run(street: Street, tmp_path: Path) -> None:
    doors, old, new = tmp_path / "doors", street.file.read_text(), token_hex(32)
    doors.write_text(old)
    prover = street.prover(file=doors)
    peer, client = street.door(prover), await street.web_door(prover)

    async def passes() -> tuple[bool, int]:
        async with connect(peer, [(CT, (EXPLICIT,)), (VERIFICATION, (IMPLICIT,))]) as association:
            echoed = await scu.echo(association)
        async with client.get(STUDIES) as response:
            return echoed == 0, response.status

    def replace_doors(*keys: str) -> None:
        (tmp_path / "next").write_text("\n".join(keys))
        os.replace(tmp_path / "next", doors)

    for keys in ((old, new), (new, old), (new,)):
        street.replace_key(*keys)
        assert await passes() == (True, 200)
        replace_doors(*keys)
        assert await passes() == (True, 200)
    replace_doors(old)
    async with client.get(STUDIES) as response:
        assert response.status == 400
    assert street.refused("http", "forged") == 1


# ---- HTTP


@pytest.mark.parametrize(
    "target",
    [
        STUDIES,
        f"{STUDIES}?PatientName=M%C3%BCller%2C*&limit=3",
        f"{STUDIES}/1.2/metadata?",
        f"{STUDIES}?a=b%20c+d&x=%2F%3f",
        f"{STUDIES}?a[]=|b",
    ],
)
async def test_a_request_through_the_door_is_of_its_caller(street: Street, target: str) -> None:
    client = await street.web_door()
    async with client.get(aiohttp.client.URL(f"http://127.0.0.1:{client._base_url.port}{target}", encoded=True)) as r:
        assert r.status == 200, await r.text()
        assert PROOF not in r.headers
    assert street.callers == ["127.0.0.1"]


async def test_bodies_events_and_web_sockets_pass_the_door(street: Street) -> None:
    client = await street.web_door()
    async with client.post(STUDIES, data=b"x" * 300_000) as response:
        assert (response.status, await response.text()) == (200, "300000")
    async with client.get("/dicom-web/changes/studies") as response:
        assert await response.text() == "data: a change\n\n"
    async with client.ws_connect("/dicom-web/changes") as socket:
        assert (await socket.receive_str(), (await socket.receive()).data) == ("a change", 4001)
    assert street.callers == ["127.0.0.1"] * 3


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_that_names_somebody_without_proof_is_refused(street: Street, method: str) -> None:
    liar = await street.liar()
    async with liar.request(method, STUDIES, headers={"X-Forwarded-For": "127.0.0.1"}) as response:
        assert response.status == 400
        assert "no proof by the key of door.key_file" in await response.text()
    assert (street.callers, street.refused("http", "missing")) == ([], 1)


async def test_a_request_that_names_nobody_is_nobodys(street: Street) -> None:
    async with (await street.liar()).get(STUDIES) as response:
        assert response.status == 403
    assert street.callers == []


async def test_a_captured_request_is_refused_and_so_is_what_was_made_of_it(street: Street) -> None:
    client, liar = await street.web_door(), await street.liar()
    async with client.get(STUDIES) as response:
        assert response.status == 200
    captured = {"X-Forwarded-For": "127.0.0.1", PROOF: street.proofs[0]}
    for target, kind in ((STUDIES, "replayed"), (f"{STUDIES}/1.2", "forged")):
        async with liar.get(target, headers=captured) as response:
            assert response.status == 400
        assert street.refused("http", kind) == 1


async def test_a_proof_that_a_client_sends_never_reaches_a_service(street: Street) -> None:
    own = street.prover().request("GET", STUDIES, "127.0.0.1", ("127.0.0.1", street.http_port))
    async with (await street.web_door()).get(STUDIES, headers={PROOF.lower(): own}) as response:
        assert response.status == 200, await response.text()
    assert street.proofs[0] not in ("", own)
    # Nor through a door that has no key, though the proof would count.
    async with (await street.web_door(proving=False)).get(STUDIES, headers={PROOF: own}) as response:
        assert response.status == 400
    assert street.refused("http", "missing") == 1


@pytest.mark.parametrize("change", [lambda proof: proof[:-1], lambda proof: proof + "=", lambda _: "no base64"])
async def test_what_is_no_proof_is_refused(street: Street, change: Callable[[str], str]) -> None:
    proof = street.prover().request("GET", STUDIES, "127.0.0.1", ("127.0.0.1", street.http_port))
    headers = {"X-Forwarded-For": "127.0.0.1", PROOF: change(proof)}
    async with (await street.liar()).get(STUDIES, headers=headers) as response:
        assert response.status == 400
    assert street.refused("http", "forged") == 1
