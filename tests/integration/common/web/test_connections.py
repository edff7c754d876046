"""HTTP connections as clients, probes and attackers meet them: limits, reserve, header fields, slow readers."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network

import pytest
from aiohttp import web

from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.connections import PROBE_RESERVE, Capacity, Connections, WebLimits
from gantry.common.web.routes import Match, Resource, WebRole
from gantry.common.web.server import WebServer

BODY = b"x" * 2_000_000
HEAD = b" HTTP/1.1\r\nHost: localhost\r\n"
STUDIES = b"GET /dicom-web/studies" + HEAD
Start = Callable[[WebLimits], Awaitable[WebServer]]


async def alive(_: web.BaseRequest) -> web.Response:
    return web.Response(text="ok\n")


async def echo_headers(request: web.BaseRequest, _: Match) -> web.Response:
    return web.Response(text="".join(f"{name.lower()}={value}\n" for name, value in request.headers.items()))


async def large(_: web.BaseRequest, match: Match) -> web.Response:
    """Of a series, more than the kernel holds."""
    return web.Response(body=BODY * (8 if match.series else 1))


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    servers: list[WebServer] = []

    async def started(limits: WebLimits) -> WebServer:
        server = WebServer("127.0.0.1", 0, {"/healthz": alive}, AccessControl(Tokens(None)), limits)
        server.serve({Resource.SEARCH_STUDIES: echo_headers, Resource.METADATA: large})
        await server.start()
        servers.append(server)
        return server

    yield started
    for server in servers:
        await server.close()


async def exchange(server: WebServer, request: bytes, source: str = "127.0.0.1") -> bytes:
    """Send, and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(source, 0))
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.transport.abort()


def closing(request: bytes) -> bytes:
    return request + b"Connection: close\r\n\r\n"


async def taken(server: WebServer, count: int, source: str = "127.0.0.2") -> list[asyncio.StreamWriter]:
    """So many connections that say nothing."""
    opened = [
        await asyncio.open_connection("127.0.0.1", server.port, local_addr=(source, 0), limit=1024)
        for _ in range(count)
    ]
    while len(server.connections) < count:
        await asyncio.sleep(0.001)
    return [writer for _, writer in opened]


async def test_probe_is_answered_where_all_connections_are_taken_and_nothing_else_is(start: Start) -> None:
    server = await start(WebLimits(max_connections=3))
    held = await taken(server, 3)
    assert (await exchange(server, b"GET /healthz" + HEAD + b"\r\n")).startswith(b"HTTP/1.1 200 ")
    refused = await exchange(server, STUDIES + b"\r\n")
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 5\r\n" in refused
    for writer in held:
        writer.transport.abort()


async def test_address_that_holds_many_connections_has_no_part_in_the_reserve(start: Start) -> None:
    server = await start(WebLimits(max_connections=5))
    held = await taken(server, 5)
    answer = await exchange(server, b"GET /healthz" + HEAD + b"\r\n", source="127.0.0.2")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nConnection: close\r\n" in answer
    assert (await exchange(server, b"GET /healthz" + HEAD + b"\r\n")).startswith(b"HTTP/1.1 200 ")
    for writer in held:
        writer.transport.abort()


async def test_one_address_cannot_take_all_connections(start: Start) -> None:
    server = await start(WebLimits(max_connections=100, max_per_address=6))
    held = await taken(server, 6)
    assert (await exchange(server, closing(STUDIES), source="127.0.0.2")).startswith(b"HTTP/1.1 503 ")
    assert (await exchange(server, closing(STUDIES))).startswith(b"HTTP/1.1 200 ")
    for writer in held:
        writer.transport.abort()
    while len(server.connections):
        await asyncio.sleep(0.001)
    assert (await exchange(server, closing(STUDIES), source="127.0.0.2")).startswith(b"HTTP/1.1 200 ")


def test_proxies_that_are_named_have_no_limit_of_their_own() -> None:
    connections = Connections(WebLimits(max_connections=10, max_per_address=2, proxies=(ip_network("192.0.2.0/24"),)))
    assert [connections.enter(n, "192.0.2.7") for n in range(10)] == [Capacity.ANYTHING] * 10
    assert connections.enter(10, "192.0.2.8") is Capacity.PROBES


def test_the_reserve_has_an_end() -> None:
    connections = Connections(WebLimits(max_connections=1))
    rooms = [connections.enter(n, f"192.0.2.{n}") for n in range(PROBE_RESERVE + 2)]
    assert rooms == [Capacity.ANYTHING, *[Capacity.PROBES] * PROBE_RESERVE, Capacity.NONE]
    for n in range(PROBE_RESERVE + 2):
        connections.leave(n)
    assert connections.enter(0, "192.0.2.0") is Capacity.ANYTHING


@pytest.mark.parametrize(
    "name", ["Accept", "Accept-Encoding", "If-None-Match", "X-Forwarded-For", "Cache-Control", "X"]
)
async def test_list_in_two_lines_is_one_list(start: Start, name: str) -> None:
    # Without X-Forwarded-For the caller is this machine; with it, nobody.
    server = await start(WebLimits())
    lines = f"{name}: one\r\nOther: x\r\n{name.lower()}: two, three\r\n".encode()
    answer = await exchange(server, closing(STUDIES + lines))
    if name == "X-Forwarded-For":
        assert answer.startswith(b"HTTP/1.1 403 ")
    else:
        assert f"{name.lower()}=one, two, three\n".encode() in answer


@pytest.mark.parametrize("name", ["Authorization", "Range", "Origin", "Sec-Fetch-Site", "Host"])
async def test_field_of_one_value_in_two_lines_is_refused(start: Start, name: str) -> None:
    server = await start(WebLimits())
    answer = await exchange(server, STUDIES + f"{name}: a\r\n{name}: b\r\n\r\n".encode())
    assert answer.split()[1] == b"400"


async def test_lines_that_are_too_long_together_are_refused(start: Start) -> None:
    server = await start(WebLimits())
    answer = await exchange(server, STUDIES + (b"Accept: " + b"a/b," * 2000 + b"\r\n") * 3 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "request_",
    [b"GET /healthz\r\n\r\n", b"GET /dicom-web/studies\r\n\r\n", b"GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n"],
)
async def test_other_versions_of_http_are_refused(start: Start, request_: bytes) -> None:
    server = await start(WebLimits(header_deadline=2.0))
    assert (await exchange(server, request_)).split()[1] in (b"400", b"505")


@pytest.mark.parametrize(
    ("version", "coding", "status"),
    [
        *((b"1.1", b"gzip, chunked", b"501"), (b"1.1", b"identity, chunked", b"501"), (b"1.0", b"chunked", b"400")),
        (b"1.1", b"Chunked", b"405"),
    ],
)
async def test_a_body_whose_length_others_may_read_otherwise_ends_the_connection(
    start: Start, version: bytes, coding: bytes, status: bytes
) -> None:
    server = await start(WebLimits())
    head = b"POST /dicom-web/changes HTTP/" + version + b"\r\nHost: localhost\r\nConnection: keep-alive\r\n"
    body = b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
    answer = await exchange(
        server, head + body + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert answer.split()[1] == status
    # What comes behind is a request of its own only where everybody agrees that it is.
    assert len(re.findall(rb"HTTP/1\.[01] \d", answer)) == (2 if status == b"405" else 1)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz" + HEAD,
        STUDIES,
        b"GET /elsewhere" + HEAD,
        b"GET /dicom-web/series" + HEAD,
        b"OPTIONS /dicom-web/studies" + HEAD,
        b"junk" + HEAD,
        STUDIES + b"Range: a\r\nRange: b\r\n",
    ],
)
async def test_every_answer_is_kept_from_pages_of_others(start: Start, request_: bytes) -> None:
    server = await start(WebLimits())
    head = (await exchange(server, closing(request_))).partition(b"\r\n\r\n")[0]
    assert b"\r\nX-Content-Type-Options: nosniff" in head
    assert b"\r\nCross-Origin-Resource-Policy: same-origin" in head
    assert b"\r\nCache-Control: no-store" in head
    assert [line for line in head.split(b"\r\n") if line.startswith(b"Server:")] == [b"Server: Gantry"]


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/dicom-web/studies", "Sec-Fetch-Site: cross-site", 403),
        ("/dicom-web/studies", "Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.example", 403),
        ("/dicom-web/studies", "Sec-Fetch-Site: cross-site\r\nOrigin: https://viewer.example", 200),
        ("/dicom-web/studies", "Sec-Fetch-Site: same-origin", 200),
        ("/dicom-web/studies", "Sec-Fetch-Site: none", 200),
        ("/dicom-web/studies", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate", 403),
        ("/wado", "Sec-Fetch-Site: cross-site", 403),
        ("/viewer/page.js", "Sec-Fetch-Site: cross-site", 403),
        ("/", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate", 404),  # no page is served here: it was let in
        ("/healthz", "Sec-Fetch-Site: cross-site", 200),
    ],
)
async def test_pages_of_other_sites_get_nothing(start: Start, path: str, fields: str, status: int) -> None:
    server = await start(WebLimits(cors_origins=("https://viewer.example",)))
    answer = await exchange(server, closing(f"GET {path}".encode() + HEAD + fields.encode() + b"\r\n"))
    assert int(answer.split()[1]) == status


@pytest.mark.parametrize(
    ("fields", "status"),  # 404: let in, and not served here
    [
        ("Accept: */*", 404),
        ("Sec-Fetch-Site: same-origin", 404),
        ("Sec-Fetch-Site: same-site", 403),
        ("Sec-Fetch-Site: same-site\r\nOrigin: https://viewer.example", 404),
        ("Origin: http://evil.example", 403),
        ("Origin: null", 403),
        ("Origin: http://localhost:3000", 403),
        ("Origin: http://localhost", 404),
        ("Origin: https://viewer.example", 404),
    ],
)
async def test_pages_of_other_origins_change_nothing(start: Start, fields: str, status: int) -> None:
    server = await start(WebLimits(cors_origins=("https://viewer.example",)))
    request = b"POST /dicom-web/studies/1/restore" + HEAD + fields.encode() + b"\r\nContent-Length: 0\r\n"
    assert int((await exchange(server, closing(request))).split()[1]) == status


async def test_resource_of_a_role_that_is_still_starting_is_told_to_come_back(start: Start) -> None:
    server = await start(WebLimits())
    server.expect(WebRole.RETRIEVE, lambda: "starting: object store unavailable: away")
    study = b"GET /dicom-web/studies/1" + HEAD
    answer = await exchange(server, closing(study))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\nstarting: object store unavailable: away\n")
    server.serve({Resource.OBJECTS: echo_headers})
    assert (await exchange(server, closing(study))).startswith(b"HTTP/1.1 200 ")


async def slowly(server: WebServer, request: bytes, piece: int, pause: float) -> int:
    """How many bytes come where they are read bit by bit."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", server.port))
    await loop.sock_sendall(sock, request)
    count = 0
    try:
        while data := await loop.sock_recv(sock, piece):
            count += len(data)
            await asyncio.sleep(pause)
    except ConnectionResetError:
        pass
    finally:
        sock.close()
    return count


async def test_answer_in_memory_that_is_taken_slowly_is_given_whole(start: Start) -> None:
    # It takes some ten times as long as a header may, and as an answer may stand still; the kernel does not hold it.
    server = await start(WebLimits(header_deadline=0.2, stall=0.2))
    request = closing(b"GET /dicom-web/studies/1/series/2/metadata" + HEAD)
    assert await slowly(server, request, 100_000, 0.01) > 8 * len(BODY)


async def test_answer_in_memory_that_is_not_taken_is_given_up(start: Start) -> None:
    server = await start(WebLimits(header_deadline=5.0, stall=0.2))
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", server.port))
    await loop.sock_sendall(sock, b"GET /dicom-web/studies/1/series/2/metadata" + HEAD + b"\r\n")
    async with asyncio.timeout(4):
        while not len(server.connections):
            await asyncio.sleep(0.01)
        while len(server.connections):
            await asyncio.sleep(0.01)
    sock.close()


async def test_what_is_no_http_is_logged_once_and_then_with_a_number(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """An address that sent nothing else filled the disk."""
    server = await start(WebLimits())
    for _ in range(20):
        assert (await exchange(server, b"junk\r\n\r\n")).startswith(b"HTTP/1.")
    assert capsys.readouterr().out.count("not an HTTP request") == 1
