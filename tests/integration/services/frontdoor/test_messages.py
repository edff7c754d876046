"""HL7 messages by the front door: a real MLLP port behind it, which believes nobody but the door."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from secrets import token_hex

import pytest

from gantry.common.clock import SystemClock
from gantry.common.config.hl7_sections import Hl7Settings
from gantry.common.config.tls import client_context, server_context
from gantry.common.errors import PeerError
from gantry.common.hl7.mllp import framed
from gantry.common.net.acceptor import Acceptor, listen
from gantry.common.net.mllp_client import MllpClient
from gantry.common.net.proxy import LOCAL, Origin, encode
from gantry.common.telemetry.metrics import Metrics
from gantry.services.frontdoor.messages import MessageDoor
from gantry.services.frontdoor.reaching import Reacher
from gantry.services.frontdoor.routing import Pool
from gantry.services.orders.hl7.listener import MllpListener
from gantry.services.process.door_key import DoorKey, OriginProver, ProvenOrigins
from tests.integration.common.net.conftest import eventually
from tests.integration.services.frontdoor.behind import behind
from tests.integration.services.orders.hl7.test_listener import LIMITS, echo
from tests.support.certificates import Authority, settings
from tests.support.log_lines import log_lines
from tests.support.ports import free_port

HERE = (ip_network("127.0.0.0/8"),)
FAR = "192.0.2.7"
Handle = Callable[[bytes], Awaitable[bytes]]


class Hospital:
    """The door, and one process behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics, self.behind_metrics = Metrics(), Metrics()
        self.clock = SystemClock()
        self.stack = AsyncExitStack()
        self.port = self.port_behind = 0
        (folder / "key").write_text(token_hex(32))

    async def start(
        self,
        handle: Handle = echo,
        *,
        admit: str = FAR,
        tls: ssl.SSLContext | None = None,
        behind_port: int | None = None,
        astray: Callable[[Origin], str] = lambda _: "",
        needs_tls: bool = False,
        **hl7: object,
    ) -> None:
        key = DoorKey(self.folder / "key")
        limits = replace(LIMITS, admit=(ip_network(admit),), proxies=HERE, needs_tls=needs_tls)
        refused = self.behind_metrics.origins_refused
        check = ProvenOrigins(key, self.clock, lambda *kind: refused.labels(*kind).inc(), "hl7")
        # It would speak TLS to whoever comes without a proxy.
        listener = MllpListener(
            handle, limits, self.clock, self.behind_metrics, None if tls is None else lambda: tls, check
        )
        self.port_behind = behind_port or listener.start("127.0.0.1", 0)
        self.stack.push_async_callback(listener.drain, 1.0)
        self.archive = archive = behind({Pool.HL7: [self.port_behind]}, self.metrics, self.folder / "key")
        reacher = Reacher(1.0, 2.0, self.clock, self.metrics)
        self.door = MessageDoor(archive, Hl7Settings.model_validate(hl7), reacher, self.clock, self.metrics, astray)
        sock = listen("127.0.0.1", 0, 64)
        take = partial(self.door.take, tls=None if tls is None else lambda: tls)
        self.acceptor = Acceptor(sock, take, self.door.failed, trusted=HERE, deadline=1.0)
        self.port = sock.getsockname()[1]
        self.stack.push_async_callback(self.door.close)
        self.stack.callback(self.acceptor.close)

    async def opened(self, header: bytes | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the door, as a balancer makes one for a sender far away."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(encode(Origin(FAR, 4711), ("127.0.0.1", self.port)) if header is None else header)
        return reader, writer

    @property
    def open_behind(self) -> int:
        """How many connections count at the process."""
        (backend,) = self.archive.backends.of(Pool.HL7)
        return backend.open

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"gantry_{name}", labels) or 0.0


@pytest.fixture
async def hospital(tmp_path: Path) -> AsyncIterator[Hospital]:
    fixture = Hospital(tmp_path)
    yield fixture
    await fixture.stack.aclose()


async def is_closed(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(5):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return (await reader.readuntil(b"\x1c\r"))[1:-2]


async def test_messages_are_passed_on_with_the_address_of_their_sender(hospital: Hospital) -> None:
    await hospital.start()
    reader, writer = await hospital.opened()
    for number in (b"1", b"2"):
        writer.write(framed(number))
        assert await answer_of(reader) == b"ack " + number
    assert hospital.counted("door_open", pool="hl7", partition="") == hospital.open_behind == 1
    writer.close()
    await eventually(lambda: hospital.counted("door_open", pool="hl7", partition="") == 0)
    assert hospital.counted("door_associations_total", pool="hl7", partition="") == 1
    assert hospital.counted("hl7_connections") == hospital.open_behind == 0


async def test_who_is_not_admitted_behind_the_door_is_closed(hospital: Hospital) -> None:
    await hospital.start(admit="198.51.100.0/24")
    reader, writer = await hospital.opened()
    writer.write(framed(b"1"))
    await is_closed(reader)
    writer.close()


@pytest.mark.parametrize("proven", [False, True])
async def test_nobody_beside_the_door_may_say_for_whom_he_comes(hospital: Hospital, proven: bool) -> None:
    await hospital.start()
    key = DoorKey(hospital.folder / "key")
    destination = "127.0.0.1", hospital.port_behind
    origin = Origin(FAR, 4711)
    header = OriginProver(key, hospital.clock).header(origin, destination) if proven else encode(origin, destination)
    reader, writer = await asyncio.open_connection(*destination)
    writer.write(header + framed(b"1"))
    async with asyncio.timeout(5):
        with suppress(ConnectionResetError):
            assert await reader.read(100) == (framed(b"ack 1") if proven else b"")
    writer.close()
    refused = hospital.behind_metrics.registry.get_sample_value(
        "gantry_origins_refused_total", {"protocol": "hl7", "reason": "missing"}
    )
    closed = hospital.behind_metrics.registry.get_sample_value(
        "gantry_hl7_connections_refused_total", {"reason": "proxy"}
    )
    assert (refused or 0) == (closed or 0) == (0 if proven else 1)


async def test_tls_ends_at_the_door(hospital: Hospital, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority", "network")
    server = server_context(settings(authority.sign("127.0.0.1"), authority.ca))
    client = client_context(settings(authority.sign("engine"), authority.ca))
    await hospital.start(tls=server, admit="127.0.0.0/8")
    hospital.acceptor.close()
    sock = listen("127.0.0.1", 0, 64)
    acceptor = Acceptor(sock, partial(hospital.door.take, tls=lambda: server), hospital.door.failed)
    port = sock.getsockname()[1]
    try:
        async with MllpClient("127.0.0.1", port, client, 5.0) as sender:
            assert await sender.send(b"1") == b"ack 1"
        stranger = client_context(settings(Authority(tmp_path / "stranger", "x").sign("CT7"), authority.ca))
        with log_lines() as logged:
            for context in (None, stranger):
                with pytest.raises((PeerError, OSError)):
                    async with MllpClient("127.0.0.1", port, context, 2.0) as sender:
                        await sender.send(b"1")
            await eventually(lambda: hospital.counted("hl7_connections_refused_total", reason="tls") == 2)
        plain, refused = logged.of("HL7 connection refused")
        assert "certificate" not in plain
        assert refused["reason"].startswith("TLS: certificate refused: ")
        assert refused["certificate"].startswith("CN=CT7, serial ")
    finally:
        acceptor.close()


async def test_sender_who_never_shakes_hands_is_let_go(
    hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantry.services.frontdoor.messages._HANDSHAKE_SECONDS", 0.2)
    authority = Authority(tmp_path / "authority", "network")
    await hospital.start(tls=server_context(settings(authority.sign("127.0.0.1"), authority.ca)))
    reader, writer = await hospital.opened()
    await is_closed(reader)
    writer.close()
    assert hospital.counted("hl7_connections_refused_total", reason="tls") == 1


async def test_what_a_balancer_took_tls_off_is_taken_as_it_comes(hospital: Hospital, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority", "network")
    await hospital.start(tls=server_context(settings(authority.sign("127.0.0.1"), authority.ca)))
    reader, writer = await hospital.opened(encode(Origin(FAR, 4711, tls=True), ("127.0.0.1", hospital.port)))
    writer.write(framed(b"1"))
    assert await answer_of(reader) == b"ack 1"
    writer.close()


@pytest.mark.parametrize("tls", [True, False])
async def test_process_without_a_certificate_takes_what_came_over_tls_to_the_door_alone(
    hospital: Hospital, tls: bool
) -> None:
    await hospital.start(needs_tls=True)
    reader, writer = await hospital.opened(encode(Origin(FAR, 4711, tls=tls), ("127.0.0.1", hospital.port)))
    writer.write(framed(b"1"))
    if tls:
        assert await answer_of(reader) == b"ack 1"
    else:
        await is_closed(reader)
    writer.close()


async def test_where_nobody_takes_messages_the_connection_is_closed_and_counted(hospital: Hospital) -> None:
    await hospital.start(behind_port=free_port())
    reader, writer = await hospital.opened()
    await is_closed(reader)
    writer.close()
    assert hospital.counted("hl7_connections_refused_total", reason="unreachable") == 1
    assert hospital.counted("door_connect_failures_total", pool="hl7", partition="") == 1
    assert hospital.open_behind == 0


async def test_there_are_as_many_connections_as_the_settings_say(hospital: Hospital) -> None:
    await hospital.start(max_connections_per_address=1)
    reader, writer = await hospital.opened()
    writer.write(framed(b"1"))
    assert await answer_of(reader) == b"ack 1"
    second, other = await hospital.opened()
    async with asyncio.timeout(5):
        assert await second.read() == b""
    other.close()
    assert hospital.counted("hl7_connections_refused_total", reason="limit per address") == 1
    writer.close()
    await eventually(lambda: hospital.counted("hl7_connections") == 0)
    again, third = await hospital.opened()
    third.write(framed(b"3"))
    assert await answer_of(again) == b"ack 3"
    third.close()


async def test_sender_of_another_organisation_is_refused(hospital: Hospital) -> None:
    await hospital.start(astray=lambda origin: "its signs name different partitions" if origin.address == FAR else "")
    reader, writer = await hospital.opened()
    writer.write(framed(b"1"))
    await is_closed(reader)
    writer.close()
    assert hospital.counted("hl7_connections_refused_total", reason="partition") == 1
    assert hospital.counted("door_associations_total", pool="hl7", partition="") == 0


async def test_balancer_that_looks_whether_the_door_is_there_is_no_sender(hospital: Hospital) -> None:
    await hospital.start()
    reader, writer = await hospital.opened(LOCAL)
    await is_closed(reader)
    writer.close()
    assert hospital.counted("door_associations_total", pool="hl7", partition="") == 0


async def test_door_that_drains_ends_who_waits_for_nothing_and_waits_for_answers(hospital: Hospital) -> None:
    may, arrival = asyncio.Event(), asyncio.Event()

    async def slow(message: bytes) -> bytes:
        if message == b"slow":
            arrival.set()
            await may.wait()
        return await echo(message)

    await hospital.start(slow)
    idle, idle_writer = await hospital.opened()
    idle_writer.write(framed(b"1"))
    assert await answer_of(idle) == b"ack 1"
    busy, busy_writer = await hospital.opened()
    busy_writer.write(framed(b"slow"))
    await arrival.wait()
    draining = asyncio.create_task(hospital.door.drained())
    async with asyncio.timeout(5):
        assert await idle.read() == b""
    assert not draining.done()
    may.set()
    assert await answer_of(busy) == b"ack slow"
    async with asyncio.timeout(5):
        assert await busy.read() == b""
        await draining
    idle_writer.close()
    busy_writer.close()


async def test_answer_that_came_by_half_is_waited_for(hospital: Hospital) -> None:
    may = asyncio.Event()

    async def halting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\x1c\r")
        writer.write(b"\x0back")
        await may.wait()
        writer.write(b" 1\x1c\r")

    process = await asyncio.start_server(halting, "127.0.0.1", 0)
    hospital.stack.callback(process.close)
    await hospital.start(behind_port=process.sockets[0].getsockname()[1])
    reader, writer = await hospital.opened()
    writer.write(framed(b"1"))
    assert await reader.readexactly(4) == b"\x0back"
    draining = asyncio.create_task(hospital.door.drained())
    await asyncio.sleep(0.3)
    may.set()
    async with asyncio.timeout(5):
        assert await reader.read() == b" 1\x1c\r"
        await draining
    writer.close()


async def test_end_of_the_process_behind_is_the_end_of_the_connection(hospital: Hospital) -> None:
    async def dies(message: bytes) -> bytes:
        raise OSError

    await hospital.start(dies)
    reader, writer = await hospital.opened()
    writer.write(framed(b"1"))
    await is_closed(reader)
    writer.close()
