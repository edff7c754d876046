"""A real server that trusts a proxy on the loopback interface: who the peer is taken for, and what is refused."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_network

import pytest

from gantry.common.net.proxy import LOCAL, SIGNATURE, Origin, encode
from tests.integration.common.net.conftest import FAST, Running, Start, eventually
from tests.support.wire import rq_bytes

TRUSTING = replace(FAST, proxy_from=(ip_network("127.0.0.0/8"),))
HEADER = encode(Origin("192.0.2.7", 40000), ("127.0.0.1", 11112))
OVER_TLS = encode(Origin("192.0.2.7", 40000, tls=True), ("127.0.0.1", 11112))


async def answer(running: Running, data: bytes, *, byte_by_byte: bool = False) -> int | None:
    """The type of the first PDU that comes back."""
    reader, writer = await running.raw()
    for piece in [data[i : i + 1] for i in range(len(data))] if byte_by_byte else [data]:
        writer.write(piece)
        if byte_by_byte:
            await asyncio.sleep(0)
    try:
        first = await asyncio.wait_for(reader.read(1), 5)
    except ConnectionResetError:
        first = b""
    writer.close()
    return first[0] if first else None


@pytest.mark.parametrize("byte_by_byte", [False, True])
@pytest.mark.parametrize(("header", "tls"), [(HEADER, False), (OVER_TLS, True)])
async def test_the_peer_is_the_one_in_the_header(start: Start, header: bytes, tls: bool, byte_by_byte: bool) -> None:
    running = await start(TRUSTING)
    assert await answer(running, header + rq_bytes(), byte_by_byte=byte_by_byte) == 2
    (association,) = running.seen.opened_
    assert (association.peer_address, association.peer_speaks_tls) == ("192.0.2.7", tls)


async def test_limits_count_the_real_peers(start: Start) -> None:
    running = await start(replace(TRUSTING, associations_per_peer=1))
    first, second = (encode(Origin(f"192.0.2.{n}", 1), ("127.0.0.1", 1)) for n in (1, 2))
    open_ = []
    for header, expected in ((first, 2), (first, 3), (second, 2)):
        reader, writer = await running.raw(header + rq_bytes())
        assert (await reader.readexactly(1))[0] == expected
        open_.append(writer)
    assert running.seen.rejections == [(2, 3, 2)]
    for writer in open_:
        writer.close()


async def test_a_proxy_that_speaks_for_itself_is_the_peer(start: Start) -> None:
    running = await start(TRUSTING)
    assert await answer(running, LOCAL + rq_bytes()) == 2
    assert running.seen.opened_[0].peer_address == "127.0.0.1"


async def test_a_proxy_that_only_looks_is_no_news(start: Start) -> None:
    running = await start(TRUSTING)
    assert await answer_and_eof(running, LOCAL) == b""
    assert await answer_and_eof(running, HEADER) == b""
    await eventually(lambda: running.seen.failures == ["closed before an association"])


async def answer_and_eof(running: Running, data: bytes) -> bytes:
    reader, writer = await running.raw(data)
    writer.write_eof()
    rest = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return rest


@pytest.mark.parametrize(
    "data", [rq_bytes(), b"GET / HTTP/1.1\r\n", SIGNATURE + b"\x21\x11\xff\xff", SIGNATURE + b"\x21\x12\0\0", b"\r"]
)
async def test_a_trusted_connection_without_a_header_is_closed(start: Start, data: bytes) -> None:
    running = await start(TRUSTING)
    reader, writer = await running.raw(data)
    try:
        assert await asyncio.wait_for(reader.read(), 5) == b""
    except ConnectionResetError:
        pass
    writer.close()
    await eventually(lambda: len(running.seen.failures) == 1)
    assert "PROXY protocol" in running.seen.failures[0]
    assert running.seen.opened_ == []


async def test_a_header_that_does_not_come_whole_is_given_up_at_artim(start: Start) -> None:
    running = await start(TRUSTING)
    reader, writer = await running.raw()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for i in range(len(HEADER) - 1):
        if reader.at_eof() or writer.is_closing():
            break
        with suppress(RuntimeError):  # uvloop's word for a connection that was closed this very moment
            writer.write(HEADER[i : i + 1])
        await asyncio.sleep(0.05)
    with suppress(ConnectionResetError):  # what was on its way when the connection was closed
        assert await asyncio.wait_for(reader.read(), 5) == b""
    assert loop.time() - begun < 3
    assert running.seen.failures == ["no header of the PROXY protocol in time"]
    writer.close()


async def test_a_header_from_elsewhere_is_no_pdu(start: Start) -> None:
    running = await start(replace(FAST, proxy_from=(ip_network("192.0.2.0/24"),)))
    assert await answer(running, HEADER + rq_bytes()) == 7
    assert await answer(running, rq_bytes()) == 2
    assert running.seen.opened_[0].peer_address == "127.0.0.1"
