"""A door that is open, and a backend that keeps what it gets, for the tests of this room."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from gantry.common.clock import SystemClock
from gantry.common.config.tls import server_context, usual
from gantry.common.net import Peer
from gantry.common.net.acceptor import Acceptor, listen
from gantry.common.net.proxy import Origin, decode, expected_length
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import PduLimits
from gantry.services.frontdoor.backends import Backends
from gantry.services.frontdoor.dimse import DimseDoor, DoorLimits
from gantry.services.frontdoor.routing import Pool
from tests.integration.common.net.conftest import FAST
from tests.integration.services.frontdoor.behind import behind
from tests.support.certificates import Authority, settings
from tests.support.wire import CT

TRUSTING = replace(FAST, proxy_from=(ip_network("127.0.0.0/8"),))
LIMITS = DoorLimits(
    artim=0.5,
    associations=8,
    associations_per_peer=6,
    connect_timeout=0.5,
    connect_deadline=2.0,
    upper_layer=PduLimits(max_associate_length=1 << 20),
)
CALLER = "ct1.hospital"
"""Whose certificate the client shows."""


@dataclass
class Running:
    writer: DimseDoor
    backends: Backends
    metrics: Metrics
    port: int

    @property
    def peer(self) -> Peer:
        return Peer("127.0.0.1", self.port, "GANTRY", "TEST")

    def rejected(self, reason: str) -> float:
        return float(self.metrics.associations_rejected.labels(reason)._value.get())

    async def raw(self, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        writer.write(data)
        return reader, writer


Open = Callable[..., Running]


@pytest.fixture
async def door() -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        def open_one(
            pools: dict[Pool, list[int]],
            limits: DoorLimits = LIMITS,
            tls: ssl.SSLContext | None = None,
            proxy_from: tuple[str, ...] = (),
        ) -> Running:
            metrics = Metrics()
            archive = behind(pools, metrics)
            writer = DimseDoor(lambda *_: archive, {CT}, limits, tls, SystemClock(), metrics)
            sock = listen("127.0.0.1", 0, 64)
            trusted = [ip_network(network) for network in proxy_from]
            acceptor = Acceptor(sock, writer.take, writer.failed, trusted=trusted, deadline=limits.artim)
            stack.push_async_callback(writer.close)
            stack.callback(acceptor.close)
            return Running(writer, archive.backends, metrics, sock.getsockname()[1])

        yield open_one


@dataclass
class Backend:
    """A backend that keeps the bytes it gets."""

    port: int
    connections: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]

    async def next(self) -> tuple[Origin | None, asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.wait_for(self.connections.get(), 5)
        header = await reader.readexactly(16)
        header += await reader.readexactly(expected_length(header) - 16)
        return decode(header), reader, writer


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    connections: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await connections.put((reader, writer))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0, limit=1 << 20)
    yield Backend(server.sockets[0].getsockname()[1], connections)
    server.close()


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The door's, and one that trusts it."""
    authority = Authority(folder, "authority")
    pair = authority.sign("door")
    server = server_context(settings(pair, authority.ca, required=False))
    assert server is not None
    client = usual(authority.ca)
    caller = authority.sign(CALLER)
    client.load_cert_chain(caller.certificate, caller.key)
    client.check_hostname = False
    return server, client


class Bytes:
    """A data set to be sent."""

    def __init__(self, data: bytes) -> None:
        self._left = memoryview(data)

    async def readinto(self, buffers) -> int:  # type: ignore[no-untyped-def]
        filled = 0
        for buffer in buffers:
            count = min(len(buffer), len(self._left))
            buffer[:count] = self._left[:count]
            self._left = self._left[count:]
            filled += count
        return filled

    async def close(self) -> None: ...
