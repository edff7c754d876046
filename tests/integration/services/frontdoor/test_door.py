"""The door before real servers on the loopback interface: who gets what, byte for byte, and how ends are passed on."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND
from gantry.common.errors import AssociationRejected
from gantry.common.net import connect, scu
from gantry.common.net.client import associate
from gantry.common.net.proxy import Origin, encode
from gantry.services.frontdoor.routing import Pool
from tests.integration.common.net.conftest import FAST, eventually, start  # noqa: F401
from tests.integration.services.frontdoor.open_door import (
    LIMITS,
    TRUSTING,
    Backend,
    Open,
    contexts,
)
from tests.support.ports import free_port
from tests.support.wire import CT, EXPLICIT, IMPLICIT, RELEASE_RQ, USER_ABORT, VERIFICATION, pdata, pdv, rq_bytes

ECHO = [(VERIFICATION, (IMPLICIT,))]

# ---- whose it is


async def test_an_association_goes_to_the_pool_of_its_role(start, door: Open) -> None:  # noqa: F811
    ingest, query = await start(TRUSTING), await start(TRUSTING)
    running = door({Pool.INGEST: [ingest.port], Pool.QUERY: [query.port]})
    async with connect(running.peer, [(CT, (EXPLICIT,))]):
        assert (len(ingest.seen.opened_), len(query.seen.opened_)) == (1, 0)
    reader, writer = await running.raw(rq_bytes(contexts=[(1, STUDY_ROOT_FIND, (EXPLICIT,))]))
    assert (await reader.readexactly(1))[0] == 2
    assert len(query.seen.opened_) == 1
    writer.close()


async def test_the_service_sees_the_real_peer(start, door: Open) -> None:  # noqa: F811
    ingest = await start(TRUSTING)
    running = door({Pool.INGEST: [ingest.port]}, proxy_from=("127.0.0.0/8",))
    header = encode(Origin("2001:db8::7", 40000, tls=True), ("127.0.0.1", 11112))
    reader, writer = await running.raw(header + rq_bytes())
    assert (await reader.readexactly(1))[0] == 2
    (association,) = ingest.seen.opened_
    assert (association.peer_address, association.peer_speaks_tls) == ("2001:db8::7", True)
    writer.close()


async def test_associations_are_spread_over_a_pool(start, door: Open) -> None:  # noqa: F811
    servers = [await start(TRUSTING) for _ in range(3)]
    running = door({Pool.INGEST: [server.port for server in servers]})
    async with AsyncExitStack() as stack:
        await asyncio.gather(*(stack.enter_async_context(connect(running.peer, ECHO)) for _ in range(6)))
        assert [len(server.seen.opened_) for server in servers] == [2, 2, 2]


async def test_the_next_association_goes_where_one_has_ended(start, door: Open) -> None:  # noqa: F811
    servers = [await start(TRUSTING) for _ in range(3)]
    running = door({Pool.INGEST: [server.port for server in servers]})
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(connect(running.peer, ECHO))
        assert [backend.open for backend in running.backends.all()] == [1, 1, 1]
        # The one that was chosen last has room again, and is not the one whose turn it would be.
        last = max(running.backends.all(), key=lambda backend: backend.last_chosen)
        (server,) = [server for server in servers if server.port == last.address[1]]
        server.seen.opened_[0].abort("the test wants it so")
        await eventually(lambda: last.open == 0)
        await stack.enter_async_context(connect(running.peer, ECHO))
        assert len(server.seen.opened_) == 2
        for association in (association for each in servers for association in each.seen.opened_):
            association.abort("the end")


async def test_another_is_tried_when_one_cannot_be_reached(start, door: Open) -> None:  # noqa: F811
    alive = await start(TRUSTING)
    running = door({Pool.INGEST: [free_port(), alive.port]})
    for _ in range(3):
        async with connect(running.peer, ECHO) as association:
            assert await scu.echo(association) == 0
    # The one that failed was left alone after its first failure.
    assert running.metrics.door_connect_failures.labels("ingest", "")._value.get() <= 1


async def test_a_pool_that_is_away_is_replaced_by_the_mixed_one(start, door: Open) -> None:  # noqa: F811
    mixed = await start(TRUSTING)
    running = door({Pool.INGEST: [free_port()], Pool.MIXED: [mixed.port]})
    async with connect(running.peer, [(CT, (EXPLICIT,))]):
        assert len(mixed.seen.opened_) == 1


async def test_without_a_backend_the_association_is_rejected_for_now(door: Open) -> None:
    running = door({Pool.INGEST: [free_port(), free_port()]})
    with pytest.raises(AssociationRejected) as caught:
        await associate(running.peer, ECHO)
    assert (caught.value.result, caught.value.source, caught.value.reason) == (2, 3, 1)
    assert running.rejected("2/3/1") == 1


async def test_a_backend_that_does_not_answer_is_given_up_at_the_deadline(door: Open) -> None:
    # A listener whose backlog is full: the kernel answers no SYN.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        running = door({Pool.INGEST: [port]})
        begun = asyncio.get_running_loop().time()
        with pytest.raises(AssociationRejected):
            await associate(running.peer, ECHO)
        assert asyncio.get_running_loop().time() - begun < 3
        for sock in waiting:
            sock.close()


async def test_one_that_does_not_answer_costs_the_next_one_its_timeout_only(start, door: Open) -> None:  # noqa: F811
    alive = await start(TRUSTING)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        running = door({Pool.INGEST: [full.getsockname()[1]], Pool.MIXED: [alive.port]})
        async with connect(running.peer, [(CT, (EXPLICIT,))]):
            assert len(alive.seen.opened_) == 1
        for sock in waiting:
            sock.close()


async def test_what_mixes_roles_is_rejected_where_nobody_plays_them_all(start, door: Open) -> None:  # noqa: F811
    ingest, query = await start(TRUSTING), await start(TRUSTING)
    running = door({Pool.INGEST: [ingest.port], Pool.QUERY: [query.port]})
    with pytest.raises(AssociationRejected) as caught:
        await associate(running.peer, [(CT, (EXPLICIT,)), (STUDY_ROOT_FIND, (EXPLICIT,))])
    assert (caught.value.result, caught.value.source, caught.value.reason) == (1, 2, 1)


# ---- limits


async def test_associations_beyond_the_limits_are_rejected_for_now(start, door: Open) -> None:  # noqa: F811
    ingest = await start(TRUSTING)
    running = door({Pool.INGEST: [ingest.port]}, proxy_from=("127.0.0.0/8",))

    async def one(peer: int) -> bytes:
        reader, writer = await running.raw(encode(Origin(f"192.0.2.{peer}", 1), ("127.0.0.1", 1)) + rq_bytes())
        writers.append(writer)
        return await reader.readexactly(10)

    writers: list[asyncio.StreamWriter] = []
    answers = [await one(1) for _ in range(7)] + [await one(2) for _ in range(3)]
    assert [answer[0] for answer in answers] == [2] * 6 + [3] + [2] * 2 + [3]
    assert {answer[7:10] for answer in answers if answer[0] == 3} == {b"\2\3\2"}
    for writer in writers:
        writer.close()
    await eventually(lambda: running.metrics.door_open.labels("ingest", "")._value.get() == 0)
    assert (await one(1))[0] == 2
    writers[-1].close()


async def test_silent_connections_are_closed_at_artim_or_before_and_cost_no_association(start, door: Open) -> None:  # noqa: F811
    ingest = await start(TRUSTING)
    running = door({Pool.INGEST: [ingest.port]})
    # More of them than associations may be: the oldest give way.
    silent = [await running.raw(rq_bytes()[: n % 71]) for n in range(LIMITS.associations + 4)]
    async with connect(running.peer, ECHO) as association:
        assert await scu.echo(association) == 0
    for reader, writer in silent:
        assert await asyncio.wait_for(reader.read(), 3) == b""
        writer.close()
    assert len(ingest.seen.opened_) == 1


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="HTTP"),
        pytest.param(b"\x16\3\1\0\xc8" + bytes(200), id="TLS on the plain port"),
        pytest.param(b"\1\0\xff\xff\xff\xff", id="4 GiB"),
        pytest.param(b"\1\0" + ((1 << 20) + 1).to_bytes(4, "big"), id="beyond the limit"),
        pytest.param(RELEASE_RQ, id="A-RELEASE-RQ first"),
        pytest.param(pdata(pdv(1, 3, b"x")), id="P-DATA first"),
        pytest.param(b"\0\0\0\0\0\4\0\0\0\0", id="PDU type 0"),
        pytest.param(b"\1\0\0\0\0\x44" + bytes(68), id="no contexts, no protocol version"),
    ],
)
async def test_what_is_no_request_is_answered_as_a_service_answers_it(start, door: Open, data: bytes) -> None:  # noqa: F811
    service = await start(TRUSTING)
    running = door({Pool.INGEST: [service.port]})
    answers = []
    for port, before in ((running.port, b""), (service.port, encode(Origin("127.0.0.1", 1), ("127.0.0.1", 1)))):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(before + data)
        answers.append(await asyncio.wait_for(reader.read(10), 3))
        writer.close()
    assert answers[0] == answers[1]
    assert answers[0][0] in (3, 7)
    assert service.seen.opened_ == []


@pytest.mark.parametrize("size", [100, 20_000, 900_000])
async def test_a_request_of_any_size_reaches_the_backend_as_it_came(door: Open, backend: Backend, size: int) -> None:
    running = door({Pool.INGEST: [backend.port]})
    request = rq_bytes(extended=(("1.2.3", bytes(size)),)) if size < 60_000 else _great(size)
    reader, writer = await running.raw()
    for start_ in range(0, len(request), 7919):
        writer.write(request[start_ : start_ + 7919])
        await writer.drain()
    _, got, answer = await backend.next()
    assert await got.readexactly(len(request)) == request
    answer.write(b"answer")
    assert await reader.readexactly(6) == b"answer"
    writer.close()
    answer.close()


def _great(size: int) -> bytes:
    """A request with so many bytes of items that we do not know, which PS3.8 9.3.2 says to ignore."""
    pdu = rq_bytes()
    item = b"\xa0\0" + (60_000).to_bytes(2, "big") + bytes(60_000)
    body = pdu[6:] + item * (size // len(item))
    return pdu[:2] + len(body).to_bytes(4, "big") + body


# ---- bytes and ends


@pytest.mark.parametrize("over_tls", [False, True])
async def test_bytes_go_both_ways_whole_while_one_side_is_slow(
    door: Open, backend: Backend, tmp_path: Path, over_tls: bool
) -> None:
    server, client = contexts(tmp_path) if over_tls else (None, None)
    running = door({Pool.INGEST: [backend.port]}, tls=server)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=1 << 20, ssl=client)
    writer.write(rq_bytes())
    origin, got, answer = await backend.next()
    assert origin is not None
    assert origin.port == writer.get_extra_info("sockname")[1]
    await got.readexactly(len(rq_bytes()))
    upload, back = os.urandom(30 << 20), os.urandom(20 << 20)

    async def send(to: asyncio.StreamWriter, data: bytes) -> None:
        for at in range(0, len(data), 1 << 20):
            to.write(data[at : at + (1 << 20)])
            await to.drain()

    async def all_of(source: asyncio.StreamReader, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            if len(data) >> 22 != (len(data) - len(part := await source.read(1 << 19))) >> 22 or not data:
                await asyncio.sleep(0.1)  # everything before us fills up
            data += part
        return bytes(data)

    results = await asyncio.gather(
        send(writer, upload), send(answer, back), all_of(got, len(upload)), all_of(reader, len(back))
    )
    assert results[2] == upload
    assert results[3] == back
    writer.close()
    answer.close()
    await eventually(lambda: running.metrics.door_bytes.labels("in")._value.get() == len(upload) + len(rq_bytes()))
    assert running.metrics.door_bytes.labels("out")._value.get() == len(back)


async def test_a_side_that_takes_nothing_stops_the_other(door: Open, backend: Backend) -> None:
    running = door({Pool.INGEST: [backend.port]})
    _, writer = await running.raw(rq_bytes())
    _, got, answer = await backend.next()
    got._transport.pause_reading()  # type: ignore[attr-defined]
    sent = 0
    chunk = bytes(1 << 20)
    with suppress(TimeoutError):
        while sent < 256 << 20:
            writer.write(chunk)
            await asyncio.wait_for(writer.drain(), 1)
            sent += len(chunk)
    assert sent < 64 << 20
    before = time.process_time()
    await asyncio.sleep(1)
    assert time.process_time() - before < 0.3  # whoever waits costs nothing
    writer.transport.abort()
    answer.close()


async def test_a_half_close_is_passed_on_and_the_answer_still_comes(door: Open, backend: Backend) -> None:
    running = door({Pool.INGEST: [backend.port]})
    reader, writer = await running.raw(rq_bytes())
    _, got, answer = await backend.next()
    writer.write(USER_ABORT)
    writer.write_eof()
    assert (await got.read())[-10:] == USER_ABORT
    answer.write(b"the rest")
    answer.close()
    assert await reader.read() == b"the rest"


async def test_a_side_that_does_not_end_after_the_other_is_cut(door: Open, backend: Backend) -> None:
    running = door({Pool.INGEST: [backend.port]})
    reader, writer = await running.raw(rq_bytes())
    _, got, answer = await backend.next()
    writer.write_eof()
    await got.read()
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 3) == b""
    answer.close()


@pytest.mark.parametrize("side", ["peer", "backend"])
async def test_a_reset_is_passed_on_as_a_reset(door: Open, backend: Backend, side: str) -> None:
    running = door({Pool.INGEST: [backend.port]})
    reader, writer = await running.raw(rq_bytes())
    _, got, answer = await backend.next()
    await got.readexactly(len(rq_bytes()))
    resetting, other = (writer, got) if side == "peer" else (answer, reader)
    resetting.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    resetting.transport.abort()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(other.read(), 5)
    await eventually(lambda: running.metrics.door_open.labels("ingest", "")._value.get() == 0)


async def test_closing_cuts_what_is_left(door: Open, backend: Backend) -> None:
    running = door({Pool.INGEST: [backend.port]})
    reader, _ = await running.raw(rq_bytes())
    behind = await backend.next()
    drained = asyncio.create_task(running.writer.drained())
    await asyncio.sleep(0.1)
    assert not drained.done()
    await running.writer.close()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 5)
    behind[2].close()
    await asyncio.wait_for(drained, 1)
