"""`gantry.common.web.server` over real sockets."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import aiohttp
import brotli
import pytest
from aiohttp import web

from gantry.common.errors import DependencyUnavailable, NotFound
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.bodies import BodyWriter, answer, body_of
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import WebLimits, WebServer

POST = b"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\n"
LIMITS = WebLimits(max_connections=8, header_deadline=0.4, stall=0.4, cors_origins=("https://viewer.example",))


async def alive(_: web.BaseRequest) -> web.Response:
    return web.Response(text="ok\n")


class Role:
    """Handlers that do what a test asks of them."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def search(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        if match.count:
            raise DependencyUnavailable("index", "away")
        return await answer(request, b"[]" * 4000, "application/dicom+json")

    async def objects(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        if match.series:
            raise NotFound("secret")
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return web.Response(text="done")

    async def metadata(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        raise RuntimeError("patient name in here")

    async def store(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        count = 0
        async for piece in body_of(request, 100_000, 0.4):
            count += len(piece)
        return web.Response(text=str(count))

    async def bulk(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        out = BodyWriter(request, 0.4)
        if await out.begin(200, {"Content-Type": "application/octet-stream"}):
            self.begun.set()
            try:
                while True:
                    await out.write(bytes(1 << 20))
            finally:
                self.cancelled.set()
        return await out.end()


@pytest.fixture
async def role() -> Role:
    return Role()


@pytest.fixture
async def seen() -> list[tuple[str, int]]:
    return []


@pytest.fixture
async def server(role: Role, seen: list[tuple[str, int]]) -> AsyncIterator[WebServer]:
    def observe(resource: str, status: int, seconds: float) -> None:
        seen.append((resource, status))

    fixture = WebServer("127.0.0.1", 0, {"/healthz": alive}, AccessControl(Tokens(None)), LIMITS, observe)
    fixture.serve(
        {
            Resource.SEARCH_STUDIES: role.search,
            Resource.OBJECTS: role.objects,
            Resource.METADATA: role.metadata,
            Resource.STORE: role.store,
            Resource.BULK_DATA: role.bulk,
        }
    )
    await fixture.start()
    yield fixture
    await fixture.close()


@pytest.fixture
async def client(server: WebServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}", auto_decompress=False) as session:
        yield session


async def test_resource_is_answered_by_its_role(client: aiohttp.ClientSession, seen: list[tuple[str, int]]) -> None:
    async with client.get("/dicom-web/studies", headers={"Accept-Encoding": "identity"}) as response:
        assert (response.status, await response.read()) == (200, b"[]" * 4000)
    assert seen == [("search_studies", 200)]


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("br, gzip", "br"),
        ("gzip, deflate", "gzip"),
        ("br;q=0.1, gzip;q=0.9", "gzip"),
        ("br;q=0, *", "gzip"),
        ("*", "br"),
        ("gzip;q=junk", ""),
        ("zstd", ""),
        ("", ""),
    ],
)
async def test_answer_is_compressed_for_who_takes_it(client: aiohttp.ClientSession, accepted: str, coding: str) -> None:
    async with client.get("/dicom-web/studies", headers={"Accept-Encoding": accepted}) as response:
        assert response.headers.get("Content-Encoding", "") == coding
        body = await response.read()
        assert (len(body) < 200) == bool(coding)
    inflate = {"br": brotli.decompress, "gzip": gzip.decompress, "": bytes}[coding]
    assert inflate(body) == b"[]" * 4000


async def test_head_has_no_body(client: aiohttp.ClientSession) -> None:
    for path in ("/dicom-web/studies", "/dicom-web/studies/1/series/2/instances/3/bulkdata/7FE00010"):
        async with client.head(path) as response:
            assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "status", "line"),
    [
        ("GET", "/dicom-web/studies/count", 503, "index unavailable: away"),
        ("GET", "/dicom-web/studies/1/series/2", 404, "not found"),
        ("GET", "/dicom-web/studies/1/metadata", 500, "internal error"),
        ("GET", "/dicom-web/series", 404, "not served by this process: it is of the role query"),
        ("GET", "/dicom-web/..%2f..%2fetc/passwd", 404, "no such resource"),
        ("GET", "/elsewhere", 404, "no such resource"),
        ("DELETE", "/dicom-web/studies", 405, "DELETE is not a method of this resource"),
        ("POST", "/healthz", 405, "only GET and HEAD"),
    ],
)
async def test_what_goes_wrong_is_a_status_and_a_line(
    client: aiohttp.ClientSession, method: str, path: str, status: int, line: str
) -> None:
    async with client.request(method, aiohttp.client.URL(path, encoded=True)) as response:
        assert (response.status, await response.text()) == (status, f"{line}\n")
        assert ("Retry-After" in response.headers) == (status == 503)


async def test_client_that_goes_away_cancels_its_request(server: WebServer, role: Role) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /dicom-web/studies/1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asyncio.wait_for(role.begun.wait(), 10)
    writer.transport.abort()
    await asyncio.wait_for(role.cancelled.wait(), 10)


async def test_client_that_takes_nothing_is_given_up(server: WebServer, role: Role) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(b"GET /dicom-web/studies/1/series/2/instances/3/bulkdata/7FE00010 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asyncio.wait_for(role.begun.wait(), 10)
    await asyncio.wait_for(role.cancelled.wait(), 10)
    writer.transport.abort()


@pytest.mark.parametrize("sent", [b"", b"GET /dicom-web/stu", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"])
async def test_connection_without_a_whole_header_is_ended(server: WebServer, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    try:
        assert await asyncio.wait_for(reader.read(), 10) == b""
    except ConnectionResetError:
        pass
    writer.transport.abort()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (POST + b"Content-Length: 4294967296\r\n\r\n", b"413"),
        (POST + b"Content-Length: 99\r\n\r\nx", b"408"),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
            b"408",
        ),
        (
            POST + b"Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
            b"415",
        ),
        (b"GET /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
    ],
)
async def test_bad_request_has_its_status_and_others_are_served(
    server: WebServer, client: aiohttp.ClientSession, request_: bytes, status: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request_)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)
    assert head.split()[1] == status
    writer.transport.abort()
    async with client.get("/healthz") as response:
        assert response.status == 200


async def test_connections_beyond_the_limit_are_told_to_come_back(server: WebServer) -> None:
    held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(8)]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 503 ")
    for _, stream in [*held, (reader, writer)]:
        stream.transport.abort()


async def test_page_of_a_known_origin_may_ask(client: aiohttp.ClientSession) -> None:
    headers = {"Origin": "https://viewer.example", "Access-Control-Request-Headers": "authorization"}
    async with client.options("/dicom-web/studies", headers=headers) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS, POST"
        assert response.headers["Access-Control-Allow-Headers"] == "authorization"
    async with client.get("/dicom-web/studies", headers=headers) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "https://viewer.example"
        assert response.headers["Vary"] == "Accept, Accept-Encoding, Origin"
    async with client.get("/dicom-web/studies", headers={"Origin": "https://evil.example"}) as response:
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_drain_waits_for_requests_and_takes_no_more(
    server: WebServer, client: aiohttp.ClientSession, role: Role
) -> None:
    under_way = asyncio.ensure_future(client.get("/dicom-web/studies/1"))
    await role.begun.wait()
    drain = asyncio.ensure_future(server.drain())
    await asyncio.sleep(0)
    async with client.get("/dicom-web/studies") as response:
        assert response.status == 503
    async with client.get("/healthz") as response:
        assert response.status == 200
    assert not drain.done()
    role.go_on.set()
    async with await under_way as response:
        assert await response.text() == "done"
    await asyncio.wait_for(drain, 10)


async def test_a_body_that_trickles_is_given_up(server: WebServer, client: aiohttp.ClientSession) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    answered = asyncio.create_task(reader.readuntil(b"\r\n"))
    for _ in range(200):  # a byte now and then: never still for as long as a deadline
        writer.write(b"1\r\nx\r\n")
        await asyncio.wait([answered], timeout=0.05)
        if answered.done():
            break
    assert (await answered).split()[1] == b"408"
    writer.transport.abort()
    async with client.get("/healthz") as response:
        assert response.status == 200
