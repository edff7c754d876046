"""The door passes DICOMweb on: real servers behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from ipaddress import ip_network

import aiohttp
import pytest
from aiohttp import web

from gantry.common.clock import SystemClock
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.bodies import BodyWriter, body_of
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import WebServer
from gantry.common.web.sockets import ServerSocket
from gantry.services.frontdoor.backends import Backends
from gantry.services.frontdoor.routing import Pool
from gantry.services.frontdoor.web import Forwarder

BIG = bytes(range(256)) * 40_000


class Part:
    """A process of one role."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cancelled = asyncio.Event()

    async def answer(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        headers = {
            "X-Part": self.name,
            "X-Seen-From": request.headers["X-Forwarded-For"],
            "X-Host": request.headers["Host"],
        }
        if request.method == "POST":
            count = 0
            async for piece in body_of(request, 1 << 30, 5.0):
                count += len(piece)
            return web.Response(text=str(count), headers=headers)
        if match.resource is Resource.METADATA:
            out = BodyWriter(request, 5.0)
            await out.begin(200, {"Content-Length": str(len(BIG))})
            await out.write(BIG[:1000])
            out.cut()
            raise ConnectionResetError
        if match.resource is Resource.CHANGE_FEED:
            socket = ServerSocket(request, SystemClock(), 5.0)
            socket.check()
            response = await socket.open()
            await socket.send("x" * 100_000)
            try:
                await socket.listen() if "stay" in request.query_string else await socket.close(4001, "too slow")
            finally:
                self.cancelled.set()
            return response
        if match.resource is Resource.CHANGES:
            out = BodyWriter(request, 5.0)
            await out.begin(200, {"Content-Type": "text/event-stream"})
            try:
                while True:
                    await out.write(b":\n\n")
                    await asyncio.sleep(0.05)
            finally:
                self.cancelled.set()
        if match.resource is Resource.BULK_DATA:
            out = BodyWriter(request, 5.0)
            await out.begin(200, {})
            try:
                while True:
                    await out.write(BIG)
            finally:
                self.cancelled.set()
        headers["ETag"] = '"1"'
        status = 304 if request.headers.get("If-None-Match") == '"1"' else 200
        return web.Response(status=status, body=b"" if status == 304 else BIG, headers=headers)


class Street:
    """A door, and what is behind it."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self.backends = Backends(5.0)
        self.stack = AsyncExitStack()
        self.forwarder = Forwarder(self.backends, SystemClock(), 1.0, 5.0)
        self.door: WebServer | None = None

    async def open(self) -> aiohttp.ClientSession:
        ports: dict[Pool, int] = {}
        for pool in (Pool.INGEST, Pool.QUERY, Pool.RETRIEVE):
            part = self.parts[pool.value] = Part(pool.value)
            server = await self._server(dict.fromkeys(Resource, part.answer), [ip_network("127.0.0.1")])
            ports[pool] = server.port
        for pool, port in ports.items():
            dead = ("127.0.0.1", 1)
            self.backends.update(pool, [dead, ("127.0.0.1", port)])
        self.stack.push_async_callback(self.forwarder.close)
        door = self.door = await self._server(self.forwarder.handlers(), [])
        session = aiohttp.ClientSession(f"http://127.0.0.1:{door.port}")
        return await self.stack.enter_async_context(session)

    async def _server(self, handlers: dict, trusted: list) -> WebServer:
        server = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None), trusted))
        server.serve(handlers)
        await server.start()
        self.stack.push_async_callback(server.close)
        return server


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    fixture = Street()
    yield fixture
    await fixture.stack.aclose()


@pytest.mark.parametrize(
    ("method", "path", "part"),
    [("GET", "studies", "query"), ("GET", "studies/1.2", "retrieve"), ("POST", "studies/1.2", "ingest")],
)
async def test_request_goes_to_the_role_of_its_path_past_what_is_dead(
    street: Street, method: str, path: str, part: str
) -> None:
    client = await street.open()
    body = BIG if method == "POST" else None
    async with client.request(method, f"/dicom-web/{path}", data=body) as response:
        assert (response.status, response.headers["X-Part"]) == (200, part)
        assert response.headers["X-Seen-From"] == "127.0.0.1"
        assert response.headers["X-Host"] == f"127.0.0.1:{client._base_url.port}"  # type: ignore[union-attr]
        assert await response.read() == (str(len(BIG)).encode() if method == "POST" else BIG)


async def test_conditions_and_heads_pass(street: Street) -> None:
    client = await street.open()
    async with client.get("/dicom-web/studies", headers={"If-None-Match": '"1"'}) as response:
        assert (response.status, await response.read()) == (304, b"")
    async with client.head("/dicom-web/studies") as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_nobody_there_is_503(street: Street) -> None:
    client = await street.open()
    street.backends.update(Pool.QUERY, [("127.0.0.1", 1)])
    async with client.get("/dicom-web/studies") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "5")


async def test_client_sees_that_a_service_broke_off(street: Street) -> None:
    client = await street.open()
    with pytest.raises(aiohttp.ClientError):
        async with client.get("/dicom-web/studies/1.2/metadata") as response:
            await response.read()


async def test_service_hears_that_the_client_has_gone(street: Street) -> None:
    client = await street.open()
    response = await client.get("/dicom-web/studies/1.2/series/1.3/instances/1.4/bulkdata/7FE00010")
    await response.content.readexactly(1000)
    response.close()
    await asyncio.wait_for(street.parts["retrieve"].cancelled.wait(), 10)


async def test_a_stream_that_never_ends_is_passed_on_as_it_comes_and_ends_when_the_door_drains(street: Street) -> None:
    client = await street.open()
    async with asyncio.timeout(10), client.get("/dicom-web/changes/studies") as response:
        assert response.status == 200
        for _ in range(3):
            assert await response.content.readline() in (b":\n", b"\n")
        assert street.door is not None
        draining = asyncio.create_task(street.door.drain())
        await response.read()  # to its end, not cut
        await draining
        await street.parts["query"].cancelled.wait()


async def test_what_one_process_remembers_is_found_whichever_it_is(street: Street) -> None:
    client = await street.open()
    pool = [Memory("1"), Memory("2"), Memory("3")]
    ports = [
        (await street._server(dict.fromkeys(Resource, member.answer), [ip_network("127.0.0.1")])).port
        for member in pool
    ]
    street.backends.update(Pool.RETRIEVE, [("127.0.0.1", port) for port in ports])
    for name in ("1", "2", "3", "1"):
        for method in ("GET", "DELETE"):
            async with client.request(method, f"/dicom-web/transfers/{name}") as response:
                assert (response.status, await response.text()) == (200, f"{method} by {name}")
    async with client.get("/dicom-web/transfers/9") as response:
        assert (response.status, "not mine" in await response.text()) == (404, True)
    street.backends.update(Pool.RETRIEVE, [("127.0.0.1", 1), *[("127.0.0.1", port) for port in ports]])
    async with client.get("/dicom-web/transfers/9") as response:
        assert response.status == 503  # nobody knows what the one that is away remembers


class Memory:
    """A process that remembers one transfer."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def answer(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        if match.rest != (self.name,):
            return web.Response(status=404, text="not mine")
        return web.Response(text=f"{request.method} by {self.name}")


async def test_a_websocket_goes_through_with_the_code_that_it_ends_with(street: Street) -> None:
    door = await street.open()
    async with door.ws_connect("/dicom-web/changes") as ws:
        assert len(await ws.receive_str(timeout=5)) == 100_000
        closed = await ws.receive(timeout=5)
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 4001)


async def test_the_service_hears_that_the_reader_of_a_websocket_left(street: Street) -> None:
    door = await street.open()
    async with door.ws_connect("/dicom-web/changes?stay") as ws:
        await ws.receive_str(timeout=5)
        assert not street.parts["query"].cancelled.is_set()
    await asyncio.wait_for(street.parts["query"].cancelled.wait(), 10)


async def test_the_door_refuses_the_websocket_of_a_strangers_page(street: Street) -> None:
    door = await street.open()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await door.ws_connect("/dicom-web/changes", headers={"Origin": "https://stranger.example"})
    assert refused.value.status == 403
    assert not street.parts["query"].cancelled.is_set()


async def test_a_target_with_scheme_and_host_is_forwarded_by_its_path_to_whom_it_names(street: Street) -> None:
    """RFC 9112 3.2.2: a server accepts the absolute form, and its host comes before the Host header."""
    client = await street.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", client._base_url.port)  # type: ignore[union-attr]
    target = "http://127.0.0.1:81/dicom-web/studies?PatientID=1"
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"X-Host: 127.0.0.1:81\r\n" in answer
    assert b"X-Part: query\r\n" in answer
