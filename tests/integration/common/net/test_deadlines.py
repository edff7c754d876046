"""Whoever lets us wait is ended: in the middle of an object, of a command, of taking what we send; and nobody else."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket

import pytest

from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.dimse import Command
from gantry.common.net import MemorySink, connect, scu
from gantry.common.net.client import associate
from tests.integration.common.net.conftest import FAST, Running, Start, eventually
from tests.support.wire import IMPLICIT, echo_command, pdata, pdv, rq_bytes, store_command

ECHO = [(VERIFICATION, [IMPLICIT])]
SHORT = dataclasses.replace(FAST, idle=0.5, pdu_deadline=30.0, artim=0.5)

HALF = {
    "a command": pdata(pdv(1, 1, store_command()[:20])),
    "a data set that has not begun": pdata(pdv(1, 3, store_command())),
    "a data set": pdata(pdv(1, 3, store_command()), pdv(1, 0, bytes(1000))),
}


async def established(running: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await running.raw(rq_bytes())
    head = await reader.readexactly(6)
    await reader.readexactly(int.from_bytes(head[2:6], "big"))
    return reader, writer


@pytest.mark.parametrize("half", HALF)
async def test_sender_that_falls_silent_in_the_middle_of_a_message_is_ended(start: Start, half: str) -> None:
    running = await start(SHORT)
    reader, writer = await established(running)
    writer.write(HALF[half])
    assert (await asyncio.wait_for(reader.readexactly(10), 10))[0] == 7
    assert "the rest of a message did not arrive" in running.server.associations.pop().outcome
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_silent_senders_give_their_places_back(start: Start) -> None:
    running = await start(dataclasses.replace(SHORT, associations=5))
    held = [await established(running) for _ in range(5)]
    for _, writer in held:
        writer.write(HALF["a data set"])
    await eventually(lambda: not running.server.associations, 15)
    async with connect(running.peer, ECHO) as association:
        assert await scu.echo(association) == 0
    for _, writer in held:
        writer.close()


async def test_sender_is_not_ended_while_our_store_lets_it_wait(start: Start) -> None:
    running = await start(SHORT)
    opened = asyncio.Event()

    class Slow(MemorySink):
        def write(self, views: object) -> bool:
            super().write(views)  # type: ignore[arg-type]
            return opened.is_set()

        async def ready(self) -> None:
            await opened.wait()

    running.service.sink_factory = Slow
    reader, writer = await established(running)
    writer.write(HALF["a data set"])
    await asyncio.sleep(2.5)  # longer than idle, and than a look at deadlines comes late
    assert len(running.server.associations) == 1
    opened.set()
    writer.write(pdata(pdv(1, 2, bytes(10))))
    answer = await asyncio.wait_for(reader.readexactly(12), 10)
    assert answer[0] == 4
    writer.close()


async def test_long_work_of_ours_does_not_count_as_silence_of_the_peer(start: Start) -> None:
    running = await start(dataclasses.replace(SHORT, idle=1.5))
    running.service.gate.clear()
    association = await associate(running.peer, ECHO)
    asking = asyncio.create_task(scu.echo(association))
    await asyncio.sleep(2.5)
    running.service.gate.set()
    assert await asking == 0
    await asyncio.sleep(1.2)  # it was looked at meanwhile
    assert await scu.echo(association) == 0
    await association.release()


async def test_peer_that_takes_nothing_is_ended(start: Start) -> None:
    running = await start(SHORT)

    class Talker:
        abilities = running.service.abilities

        def receive(self, request: object) -> MemorySink:
            return MemorySink()

        async def perform(self, request) -> None:  # type: ignore[no-untyped-def]
            while True:
                await request.respond_pending([bytes(10_000)] * 100)

    talking = await start(SHORT, [Talker()])
    sock = socket.create_connection(("127.0.0.1", talking.port))
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    talking.server.services = dict.fromkeys(talking.server.services, Talker())  # type: ignore[arg-type]
    await loop.sock_sendall(sock, rq_bytes())
    await loop.sock_recv(sock, 4096)
    await loop.sock_sendall(sock, pdata(pdv(3, 3, echo_command())))
    await eventually(lambda: bool(talking.seen.outcomes), 15)
    assert talking.seen.outcomes == ["aborted: the peer accepts no data"]
    sock.close()


async def test_sockets_of_both_roles_look_after_peers_that_vanish(start: Start) -> None:
    running = await start()
    async with connect(running.peer, ECHO) as association:
        await eventually(lambda: len(running.seen.opened_) == 1)
        for end in (association, running.seen.opened_[0]):
            sock = socket.socket(fileno=os.dup(end.connection.extra("socket").fileno()))
            with sock:
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_silent_connections_of_one_address_give_way_and_others_get_in(start: Start) -> None:
    limits = dataclasses.replace(FAST, artim=60.0, unassociated_per_peer=8, unassociated=100)
    running = await start(limits)
    held = [await running.raw() for _ in range(8)]
    await eventually(lambda: len(running.server.connections) == 8)
    await asyncio.sleep(1.1)  # each has had its second
    more = [await running.raw() for _ in range(8)]
    for reader, _ in held:
        assert await asyncio.wait_for(reader.read(), 5) == b""
    assert running.seen.failures == ["gave way to a newer connection"] * 8
    async with connect(running.peer, ECHO) as association:
        assert await scu.echo(association) == 0
    for _, writer in [*held, *more]:
        writer.transport.abort()
    await eventually(lambda: not running.server.connections)


async def test_connections_without_an_association_have_a_limit_in_all(start: Start) -> None:
    running = await start(dataclasses.replace(FAST, artim=60.0, unassociated=20))
    held = [await running.raw() for _ in range(60)]
    await eventually(lambda: len(running.seen.failures) == 40)
    assert len(running.server.connections) == 20
    async with connect(running.peer, ECHO) as association:
        assert await scu.echo(association) == 0
    for _, writer in held:
        writer.transport.abort()
    await eventually(lambda: not running.server.connections)


async def test_burst_of_senders_from_one_address_is_served(start: Start) -> None:
    running = await start(dataclasses.replace(FAST, artim=60.0, unassociated_per_peer=4))
    # All are there before the first of them has said anything.
    burst = [await running.raw() for _ in range(40)]
    await eventually(lambda: len(running.server.connections) == 40)
    for _, writer in burst:
        writer.write(rq_bytes())
    answers = [await asyncio.wait_for(reader.readexactly(1), 5) for reader, _ in burst]
    assert answers == [b"\2"] * 40
    assert running.seen.failures == []
    for _, writer in burst:
        writer.transport.abort()


async def test_silent_connection_costs_one_file(start: Start) -> None:
    running = await start(dataclasses.replace(FAST, artim=60.0))
    before = len(os.listdir("/proc/self/fd"))
    held = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(50)]
    await eventually(lambda: len(running.server.connections) == 50)
    assert len(os.listdir("/proc/self/fd")) - before <= 2 * 50  # theirs and ours
    for sock in held:
        sock.close()


async def test_response_to_half_a_message_is_not_given(start: Start) -> None:
    running = await start(SHORT)
    reader, writer = await established(running)
    writer.write(pdata(pdv(3, 3, echo_command(9))) + HALF["a command"])
    answer = await asyncio.wait_for(reader.readexactly(6), 5)
    command = await reader.readexactly(int.from_bytes(answer[2:6], "big"))
    assert Command.decode(command[6:]).responds_to == 9
    assert (await asyncio.wait_for(reader.readexactly(10), 10))[0] == 7
    writer.close()
