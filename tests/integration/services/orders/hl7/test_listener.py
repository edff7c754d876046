"""The MLLP port on real sockets: order, limits, deadlines, TLS, and what no sender may do to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from gantry.common.clock import SystemClock
from gantry.common.config.tls import Certificates, client_context
from gantry.common.errors import ConnectionFailed, PeerTimeout
from gantry.common.hl7.mllp import framed
from gantry.common.net.mllp_client import MllpClient
from gantry.common.telemetry.metrics import Metrics
from gantry.services.orders.hl7.listener import MllpLimits, MllpListener
from tests.support.certificates import Authority, settings
from tests.support.log_lines import log_lines

LIMITS = MllpLimits((ip_network("127.0.0.0/8"),), 1000, 5.0, 5.0, 8, 4)
Handle = Callable[[bytes], Awaitable[bytes]]


async def echo(message: bytes) -> bytes:
    return framed(b"ack " + message)


class Port:
    """A listener, and what it counts."""

    def __init__(self, handle: Handle, limits: MllpLimits, tls: Callable[[], ssl.SSLContext] | None) -> None:
        self.metrics = Metrics()
        self.listener = MllpListener(handle, limits, SystemClock(), self.metrics, tls)
        self.port = self.listener.start("127.0.0.1", 0)

    def client(self, tls: ssl.SSLContext | None = None, timeout: float = 5.0) -> MllpClient:
        return MllpClient("127.0.0.1", self.port, tls, timeout)

    async def raw(self, data: bytes) -> bytes:
        """All that comes back until the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            with suppress(ConnectionError):
                return await asyncio.wait_for(reader.read(), 8)
            return b""
        finally:
            writer.close()

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"gantry_{name}", labels) or 0.0


@asynccontextmanager
async def listening(
    handle: Handle = echo, limits: MllpLimits = LIMITS, tls: Callable[[], ssl.SSLContext] | None = None
) -> AsyncIterator[Port]:
    port = Port(handle, limits, tls)
    try:
        yield port
    finally:
        await port.listener.drain(1.0)


async def test_messages_of_a_connection_are_answered_one_by_one_in_their_order() -> None:
    running = 0

    async def slow(message: bytes) -> bytes:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.02 if message == b"1" else 0)
        running -= 1
        return await echo(message)

    async with listening(slow) as port, port.client() as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
        writer.write(b"".join(framed(str(number).encode()) for number in range(1, 6)))
        wanted = b"".join(framed(b"ack %d" % number) for number in range(1, 6))
        assert await reader.readexactly(len(wanted)) == wanted
        writer.close()
        assert await client.send(b"x") == b"ack x"


async def test_a_message_that_wants_no_answer_gets_none_and_the_next_one_is_taken() -> None:
    async def silent(message: bytes) -> bytes:
        return b"" if message == b"quiet" else await echo(message)

    async with listening(silent) as port, port.client() as client:
        writer = client._streams[1] if client._streams else None
        assert writer is not None
        writer.write(framed(b"quiet"))
        assert await client.send(b"loud") == b"ack loud"


async def test_connections_from_elsewhere_are_closed_and_counted() -> None:
    async with listening(limits=replace(LIMITS, admit=(ip_network("192.0.2.0/24"),))) as port:
        assert await port.raw(framed(b"x")) == b""
        assert port.count("hl7_connections_refused_total", reason="address") == 1


async def test_there_are_as_many_connections_as_the_limits_say() -> None:
    async with listening(limits=replace(LIMITS, per_address=2)) as port:
        async with port.client() as first, port.client() as second:
            assert await first.send(b"1") == b"ack 1"
            assert await second.send(b"2") == b"ack 2"
            assert await port.raw(b"") == b""
            assert port.count("hl7_connections_refused_total", reason="limit per address") == 1
            assert port.count("hl7_connections") == 2
        await _until(lambda: port.count("hl7_connections") == 0)
        async with port.client() as first:
            assert await first.send(b"1") == b"ack 1"
    async with listening(limits=replace(LIMITS, connections=1)) as port, port.client() as first:
        await first.send(b"1")
        assert await port.raw(b"") == b""
        assert port.count("hl7_connections_refused_total", reason="limit") == 1


async def test_a_message_that_is_too_long_gets_a_rejection_and_the_connection_ends() -> None:
    async with listening() as port:
        reply = await port.raw(b"\x0b" + b"x" * 5000)
        assert b"MSA|AR||a message of more than 1000 bytes" in reply
        async with port.client() as client:
            assert await client.send(b"x" * 1000) == b"ack " + b"x" * 1000


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: archive.example\r\nAccept: */*\r\nUser-Agent: a browser, by mistake\r\n\r\n",
        bytes.fromhex("16030100f8010000f40303") + bytes(range(14, 28)) * 16,
        b"\0" * 200,
    ],
    ids=["HTTP", "TLS", "zeros"],
)
async def test_what_is_not_mllp_is_closed_without_an_answer(data: bytes) -> None:
    async with listening() as port:
        assert await port.raw(data) == b""
        async with port.client() as client:
            assert await client.send(b"x") == b"ack x"


@pytest.mark.parametrize("data", [b"", b"\x0bhalf a message"])
async def test_a_peer_that_says_nothing_more_is_closed_and_others_are_served(data: bytes) -> None:
    async with listening(limits=replace(LIMITS, idle=0.3, message_deadline=0.3)) as port:
        silent = asyncio.ensure_future(port.raw(data))
        async with port.client() as client:
            assert await client.send(b"x") == b"ack x"
        assert await asyncio.wait_for(silent, 3) == b""


async def test_a_message_that_drips_has_one_deadline() -> None:
    async with listening(limits=replace(LIMITS, message_deadline=0.4)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
        begun = asyncio.get_running_loop().time()
        with suppress(ConnectionError, RuntimeError):  # uvloop's word for a connection that is closed already
            for byte in framed(b"x" * 50):
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.05)
                if reader.at_eof():
                    break
        assert asyncio.get_running_loop().time() - begun < 2
        writer.close()


async def test_a_mistake_of_ours_ends_one_connection_only() -> None:
    async def broken(message: bytes) -> bytes:
        if message == b"bad":
            raise ValueError("no")
        return await echo(message)

    async with listening(broken) as port, port.client() as client:
        assert await port.raw(framed(b"bad")) == b""
        assert await client.send(b"good") == b"ack good"


async def test_a_message_under_way_is_answered_before_the_port_closes() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def waiting(message: bytes) -> bytes:
        begun.set()
        await go_on.wait()
        return await echo(message)

    async with listening(waiting) as port:
        async with port.client() as client, port.client() as idle:
            sending = asyncio.ensure_future(client.send(b"x"))
            await begun.wait()
            draining = asyncio.ensure_future(port.listener.drain(5.0))
            await asyncio.sleep(0.05)
            go_on.set()
            assert await sending == b"ack x"
            await draining
            with pytest.raises(ConnectionFailed):
                await idle.send(b"y")
        with pytest.raises(ConnectionFailed, match="no connection"):
            async with port.client():
                pass


async def test_with_tls_a_client_needs_a_certificate_that_we_trust(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours", "ours"), Authority(tmp_path / "theirs", "theirs")
    server = Certificates(settings(ours.sign("server"), ours.ca))
    with log_lines() as logged:
        async with listening(tls=server.server) as port:
            await _try_with_certificates(port, ours, theirs)
    lines = logged.of("connection refused")
    assert all(line["reason"].startswith("TLS: ") for line in lines), lines
    (shown,) = (line["certificate"] for line in lines if "certificate" in line)
    assert shown.startswith("CN=stranger, serial ")


async def _try_with_certificates(port: Port, ours: Authority, theirs: Authority) -> None:
    async with port.client(client_context(settings(ours.sign("ris"), ours.ca))) as client:
        assert await client.send(b"secret") == b"ack secret"
    stranger = client_context(settings(theirs.sign("stranger"), ours.ca))
    anonymous = client_context(settings(None, ours.ca, required=False))
    for context in (stranger, anonymous):
        with pytest.raises((ConnectionFailed, PeerTimeout)):
            async with port.client(context) as client:
                await client.send(b"secret")
    assert await port.raw(framed(b"plain")) != b"ack plain"
    await _until(lambda: port.count("hl7_connections_refused_total", reason="tls") >= 3)
    async with port.client(client_context(settings(ours.sign("ris"), ours.ca))) as client:
        assert await client.send(b"again") == b"ack again"


async def test_a_client_says_in_words_what_went_wrong() -> None:
    async def never(message: bytes) -> bytes:
        return b""

    async with listening(never) as port, port.client(timeout=0.2) as client:
        with pytest.raises(PeerTimeout, match=r"no answer in 0\.2 s"):
            await client.send(b"x")

    async def junk(message: bytes) -> bytes:
        return b"x" * 500

    async with listening(junk) as port, port.client() as client:
        with pytest.raises(ConnectionFailed, match="not MLLP"):
            await client.send(b"x")


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)
