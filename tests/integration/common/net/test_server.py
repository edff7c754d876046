"""The server as peers meet it, over real sockets: limits, deadlines, back-pressure, release and drain."""

from __future__ import annotations

import asyncio
import dataclasses
import random

import pytest

from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.dimse import Command, CommandField, Element
from gantry.common.errors import AssociationAborted, AssociationRejected, DependencyUnavailable
from gantry.common.net import MemorySink, connect, scu
from gantry.common.net.client import associate
from gantry.common.ul import AssociateReject, RoleSelection
from gantry.services.retrieve.sources import BytesSource
from tests.integration.common.net.conftest import FAST, Start, eventually
from tests.support.wire import (
    CT,
    EXPLICIT,
    IMPLICIT,
    RELEASE_RQ,
    echo_command,
    pdata,
    pdv,
    pdvs,
    rq_bytes,
    store_command,
)

ECHO = [(VERIFICATION, [IMPLICIT])]
STORE = [(CT, [EXPLICIT])]


async def store(association: object, data: bytes, uid: str = "1.2.3") -> Command:
    context = scu.need_context(association, CT)  # type: ignore[arg-type]
    return await scu.store(association, context, uid, BytesSource(data), len(data), timeout=10)  # type: ignore[arg-type]


async def read_pdu(reader: asyncio.StreamReader) -> bytes:
    head = await asyncio.wait_for(reader.readexactly(6), 5)
    return head + await asyncio.wait_for(reader.readexactly(int.from_bytes(head[2:6], "big")), 5)


async def test_echo_and_release(start: Start) -> None:
    running = await start()
    async with connect(running.peer, ECHO) as association:
        assert await scu.echo(association) == 0
    await eventually(lambda: running.seen.outcomes == ["released"])


@pytest.mark.parametrize("size", [0, 1, 2, 4095, 131060, 131072, 300_001, 5_000_000])
async def test_objects_of_any_size_arrive_as_they_were_sent(start: Start, size: int) -> None:
    running = await start()
    data = random.Random(size).randbytes(size)
    async with connect(running.peer, STORE) as association:
        for uid in ("1.2.1", "1.2.2"):  # the send buffer is used again
            assert (await store(association, data, uid)).status == 0
    assert running.service.received == [("1.2.1", data), ("1.2.2", data)]


async def test_a_rejection_reaches_the_caller_in_words(start: Start) -> None:
    running = await start()
    running.seen.reject = AssociateReject(1, 1, 3)
    with pytest.raises(AssociationRejected, match="calling AE title is not recognised") as caught:
        await associate(running.peer, ECHO)
    assert not caught.value.retryable


async def test_one_association_too_many_is_rejected_for_now(start: Start) -> None:
    running = await start(dataclasses.replace(FAST, associations=2))
    async with connect(running.peer, ECHO), connect(running.peer, ECHO):
        with pytest.raises(AssociationRejected, match="limit of associations") as caught:
            await associate(running.peer, ECHO)
        assert (caught.value.result, caught.value.source, caught.value.reason) == (2, 3, 2)
        assert caught.value.retryable
    await eventually(lambda: not running.server.associations)
    async with connect(running.peer, ECHO) as association:
        assert await scu.echo(association) == 0


async def test_one_address_cannot_take_all_associations(start: Start) -> None:
    running = await start(dataclasses.replace(FAST, associations_per_peer=1))
    async with connect(running.peer, ECHO):
        with pytest.raises(AssociationRejected):
            await associate(running.peer, ECHO)


async def test_a_silent_connection_is_closed_at_artim_and_counts_for_nothing(start: Start) -> None:
    running = await start(dataclasses.replace(FAST, associations=1))
    reader, writer = await running.raw()
    async with connect(running.peer, ECHO) as association:
        assert await scu.echo(association) == 0
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_half_a_request_is_closed_at_artim(start: Start) -> None:
    running = await start()
    reader, writer = await running.raw(rq_bytes()[:50])
    await asyncio.wait_for(reader.read(), 5)
    assert not running.seen.opened_
    writer.close()


async def test_half_a_pdu_is_aborted_at_its_deadline_while_others_are_served(start: Start) -> None:
    running = await start()
    reader, writer = await running.raw(rq_bytes())
    assert (await read_pdu(reader))[0] == 2
    writer.write(pdata(pdv(1, 3, store_command()))[:20])
    async with connect(running.peer, ECHO) as association:
        assert await scu.echo(association) == 0
    assert (await read_pdu(reader))[0] == 7
    writer.close()


async def test_an_idle_association_is_aborted_after_its_time(start: Start) -> None:
    running = await start(dataclasses.replace(FAST, idle=0.5))
    association = await associate(running.peer, ECHO)
    await asyncio.wait_for(association.ended.wait(), 5)
    await eventually(lambda: bool(running.seen.outcomes))
    assert "idle" in running.seen.outcomes[0]


@pytest.mark.parametrize(
    ("contexts", "why"),
    [
        ([(1, CT, [EXPLICIT]), (1, CT, [IMPLICIT])], "the same id twice"),
        ([(2, CT, [EXPLICIT])], "an even id"),
        ([], "no context"),
    ],
)
async def test_malformed_context_lists_are_rejected(start: Start, contexts: list, why: str) -> None:
    running = await start()
    reader, writer = await running.raw(rq_bytes(contexts=contexts))
    assert await read_pdu(reader) == b"\3\0\0\0\0\4\0\1\1\1", why
    writer.close()


async def test_a_wrong_application_context_is_rejected(start: Start) -> None:
    running = await start()
    reader, writer = await running.raw(rq_bytes(application_context="1.2.3"))
    assert await read_pdu(reader) == b"\3\0\0\0\0\4\0\1\1\2"
    writer.close()


async def test_what_a_service_raises_is_a_status_and_the_association_goes_on(start: Start) -> None:
    running = await start()
    async with connect(running.peer, [*ECHO, *STORE]) as association:
        running.service.error = DependencyUnavailable("object store", "full")
        response = await store(association, b"xx")
        assert response.status == 0xA700
        assert response.text(Element.ERROR_COMMENT) == "object store unavailable: full"
        running.service.error = ZeroDivisionError("a bug, with a patient's name in its message")
        response = await store(association, b"xx")
        assert response.status == 0x0110
        assert response.text(Element.ERROR_COMMENT) == "internal error"
        running.service.error = None
        assert await scu.echo(association) == 0


async def test_a_slow_store_stops_the_reading_and_loses_nothing(start: Start) -> None:
    running = await start()
    opened = asyncio.Event()

    class Slow(MemorySink):
        waits = 0

        def write(self, views: object) -> bool:
            super().write(views)  # type: ignore[arg-type]
            return opened.is_set()

        async def ready(self) -> None:
            Slow.waits += 1
            await opened.wait()

    running.service.sink_factory = lambda: Slow(1 << 26)
    data = random.Random(1).randbytes(40_000_000)
    async with connect(running.peer, STORE) as association:
        sending = asyncio.create_task(store(association, data))
        await asyncio.sleep(0.5)
        assert not sending.done()
        assert Slow.waits == 1
        async with connect(running.peer, ECHO) as other:
            assert await scu.echo(other) == 0
        opened.set()
        assert (await sending).status == 0
    assert running.service.received[0][1] == data


async def test_the_window_bounds_what_is_performed_at_once(start: Start) -> None:
    running = await start(dataclasses.replace(FAST, window=3))
    async with connect(running.peer, STORE, window=10) as association:
        assert association.window == 3
        running.service.gate.clear()
        work = [asyncio.create_task(store(association, b"xx", f"1.2.{i}")) for i in range(10)]
        await asyncio.sleep(0.3)
        running.service.gate.set()
        assert [r.status for r in await asyncio.gather(*work)] == [0] * 10
    assert running.service.most_at_once == 3


async def test_pipelining_without_a_window_is_done_one_by_one(start: Start) -> None:
    running = await start()
    reader, writer = await running.raw(rq_bytes())
    await read_pdu(reader)
    running.service.gate.clear()
    stream = b"".join(
        pdata(*pdvs(1, 1, store_command(i, sop_instance=f"1.2.{i}"), 1000), *pdvs(1, 0, b"ab" * 10, 1000))
        for i in range(1, 9)
    )
    writer.write(stream + RELEASE_RQ)
    await asyncio.sleep(0.2)
    running.service.gate.set()
    ids = [Command.decode((await read_pdu(reader))[12:]).responds_to for _ in range(8)]
    assert ids == list(range(1, 9))
    assert running.service.most_at_once == 1
    assert (await read_pdu(reader))[0] == 6  # the release is answered when all is done
    writer.close()


async def test_a_cancel_gets_through_while_the_request_is_performed(start: Start) -> None:
    running = await start()
    running.service.gate.clear()
    association = await associate(running.peer, ECHO)
    context = scu.need_context(association, VERIFICATION)
    command = Command({Element.COMMAND_FIELD: int(CommandField.C_ECHO_RQ), Element.MESSAGE_ID: 77})
    await association.send(context.id, command)
    ours = running.seen.opened_[0]
    await eventually(lambda: not ours.is_idle)
    await association.cancel(context.id, 77)
    await eventually(lambda: all(request.cancelled for request in ours._active))
    running.service.gate.set()
    await association.release()


async def test_an_abort_in_the_middle_of_an_object_discards_it(start: Start) -> None:
    running = await start()
    discarded = asyncio.Event()

    class Watched(MemorySink):
        async def discard(self) -> None:
            discarded.set()

    running.service.sink_factory = Watched
    reader, writer = await running.raw(rq_bytes())
    await read_pdu(reader)
    writer.write(pdata(pdv(1, 3, store_command()), pdv(1, 0, bytes(1000))))
    await asyncio.sleep(0.1)
    writer.transport.abort()
    await asyncio.wait_for(discarded.wait(), 5)
    assert running.service.received == []


async def test_a_release_in_the_middle_of_an_object_is_an_error(start: Start) -> None:
    running = await start()
    reader, writer = await running.raw(rq_bytes())
    await read_pdu(reader)
    writer.write(pdata(pdv(1, 3, store_command()), pdv(1, 0, bytes(1000))) + RELEASE_RQ)
    assert (await read_pdu(reader))[0] == 7
    assert running.service.received == []
    writer.close()


async def test_a_data_set_that_no_service_wants_costs_its_sender_only(start: Start) -> None:
    running = await start()
    reader, writer = await running.raw(rq_bytes())
    await read_pdu(reader)
    # C-ECHO with a data set: read, and then performed as it stands.
    command = bytearray(echo_command(5))
    command[command.index(b"\0\0\0\x08\2\0\0\0") + 8] = 0
    writer.write(pdata(pdv(3, 3, bytes(command)), pdv(3, 2, b"no one asked for this")))
    assert Command.decode((await read_pdu(reader))[12:]).responds_to == 5
    writer.close()


async def test_roles_let_the_acceptor_send(start: Start) -> None:
    running = await start()
    from tests.integration.common.net.conftest import Echo

    mine = Echo()
    role = RoleSelection(CT, False, True)
    association = await associate(running.peer, [*ECHO, *STORE], roles=[role], services=[mine])  # type: ignore[list-item]
    await eventually(lambda: len(running.seen.opened_) == 1)
    theirs = running.seen.opened_[0]
    assert (await store(theirs, b"abcd", "1.2.9")).status == 0
    assert mine.received == [("1.2.9", b"abcd")]
    assert association.context_for(CT) is None
    await association.release()


async def test_drain_finishes_what_is_under_way_and_lets_nobody_in(start: Start) -> None:
    running = await start()
    running.service.gate.clear()
    association = await associate(running.peer, STORE)
    idle = await associate(running.peer, ECHO)
    work = asyncio.create_task(store(association, b"xx"))
    await eventually(lambda: not all(a.is_idle for a in running.server.associations))
    draining = asyncio.create_task(running.server.drain(5.0))
    await asyncio.wait_for(idle.ended.wait(), 3)
    with pytest.raises((AssociationRejected, AssociationAborted, Exception)):
        await associate(running.peer, ECHO)
    running.service.gate.set()
    assert (await work).status == 0
    await asyncio.wait_for(draining, 5)
    assert set(running.seen.outcomes) == {"released"}


async def test_drain_ends_at_its_deadline(start: Start) -> None:
    running = await start()
    running.service.gate.clear()
    association = await associate(running.peer, STORE)
    work = asyncio.create_task(store(association, b"xx"))
    await eventually(lambda: not all(a.is_idle for a in running.server.associations))
    await asyncio.wait_for(running.server.drain(0.3), 3)
    with pytest.raises(AssociationAborted):
        await work


async def test_five_hundred_connections_at_once_are_all_served(start: Start) -> None:
    running = await start(dataclasses.replace(FAST, artim=20.0))

    async def one() -> int:
        async with connect(running.peer, ECHO) as association:
            return await scu.echo(association)

    assert set(await asyncio.gather(*(one() for _ in range(500)))) == {0}
