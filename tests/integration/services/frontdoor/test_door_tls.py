"""TLS at the door, before real servers on the loopback interface."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gantry.common.errors import PeerError
from gantry.common.net import connect, scu
from gantry.services.frontdoor.routing import Pool
from tests.integration.common.net.conftest import FAST, eventually, start  # noqa: F401
from tests.integration.services.frontdoor.open_door import (
    CALLER,
    TRUSTING,
    Backend,
    Bytes,
    Open,
    contexts,
)
from tests.support.log_lines import log_lines
from tests.support.ports import free_port
from tests.support.wire import CT, EXPLICIT, rq_bytes


async def test_tls_ends_at_the_door_and_the_service_knows(start, door: Open, tmp_path: Path) -> None:  # noqa: F811
    context, client = contexts(tmp_path)
    ingest = await start(TRUSTING)
    running = door({Pool.INGEST: [ingest.port]}, tls=context)
    data = os.urandom(5 << 20)
    async with connect(replace(running.peer, tls=client), [(CT, (EXPLICIT,))]) as association:
        context_ = scu.need_context(association, CT)
        source = Bytes(data)
        assert (await scu.store(association, context_, "1.2.3", source, len(data))).status == 0
    assert ingest.service.received == [("1.2.3", data)]
    assert ingest.seen.opened_[0].peer_speaks_tls
    assert ingest.seen.opened_[0].peer_certificate == CALLER  # and whose it is
    reader, writer = await running.raw(rq_bytes())
    with suppress(ConnectionResetError):
        assert (await asyncio.wait_for(reader.read(1), 3)) != b"\2"
    writer.close()


async def test_whose_certificate_is_not_believed_is_said(door: Open, tmp_path: Path) -> None:
    context, _ = contexts(tmp_path / "ours")
    _, stranger = contexts(tmp_path / "theirs")
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    running = door({Pool.INGEST: [free_port()]}, tls=context)
    with log_lines() as logged:
        with pytest.raises(PeerError):
            async with connect(replace(running.peer, tls=stranger), [(CT, (EXPLICIT,))]):
                pass
        async with asyncio.timeout(5):
            while not (lines := logged.of("connection without association")):
                await asyncio.sleep(0.01)
    assert lines[0]["level"] == "warning"
    assert lines[0]["why"].startswith("TLS: certificate refused: ")
    assert lines[0]["certificate"].startswith(f"CN={CALLER}, serial ")


async def test_what_a_backend_said_last_still_reaches_a_tls_peer(door: Open, backend: Backend, tmp_path: Path) -> None:
    context, client = contexts(tmp_path)
    running = door({Pool.INGEST: [backend.port]}, tls=context)

    def talk() -> bytes:  # uvloop's own TLS streams lose what they have not handed over when the end comes
        with (
            socket.create_connection(("127.0.0.1", running.port)) as sock,
            client.wrap_socket(sock, suppress_ragged_eofs=False) as peer,
        ):
            peer.sendall(rq_bytes())
            parts = []
            while part := peer.recv(65536):
                parts.append(part)
            return b"".join(parts)

    talking = asyncio.create_task(asyncio.to_thread(talk))
    _, _, answer = await backend.next()
    payload = os.urandom(3 << 20)
    answer.write(payload)
    answer.write_eof()
    came = await talking
    assert (len(came), came == payload) == (len(payload), True)
    await eventually(lambda: running.metrics.door_open.labels("ingest", "")._value.get() == 0)
    answer.close()
