"""Objects on their way out: staged before their turn, and what happens where they cannot go on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from gantry.common.dimse import Command, CommandField, Element
from gantry.common.errors import AssociationAborted, Corrupt, PeerTimeout
from gantry.common.net import Association, MemorySink, connect, scu
from tests.integration.common.net.conftest import Start, eventually
from tests.support.wire import CT, EXPLICIT

MIB = 1 << 20


class Zeros:
    """So many bytes, then the end."""

    def __init__(self, length: int) -> None:
        self.left = length

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        count = min(self.left, sum(map(len, buffers)))
        self.left -= count
        return count

    async def close(self) -> None: ...


class Stuck(MemorySink):
    """Takes the first bytes, and never more."""

    def write(self, views: Sequence[memoryview]) -> bool:
        super().write(views)
        return False

    async def ready(self) -> None:
        await asyncio.Event().wait()


def command(association: Association, uid: str) -> Command:
    return Command(
        {
            Element.AFFECTED_SOP_CLASS_UID: CT,
            Element.COMMAND_FIELD: int(CommandField.C_STORE_RQ),
            Element.MESSAGE_ID: association.next_message_id(),
            Element.AFFECTED_SOP_INSTANCE_UID: uid,
        }
    )


async def test_staged_objects_arrive_whole_whatever_was_staged_beside_them(start: Start) -> None:
    running = await start()
    async with connect(running.peer, [(CT, [EXPLICIT])]) as association:
        context = scu.need_context(association, CT)
        staged = [
            await association.stage(context.id, command(association, f"1.2.{n}"), Zeros(size), size)
            for n, size in enumerate((5 * MIB + 1, 10, MIB))
        ]
        for instance in staged:
            assert (await association.store_staged(instance)).status == 0
    assert [(uid, len(data)) for uid, data in running.service.received] == [
        ("1.2.0", 5 * MIB + 1),
        ("1.2.1", 10),
        ("1.2.2", MIB),
    ]


async def test_an_object_without_bytes_is_corrupt_and_the_association_goes_on(start: Start) -> None:
    running = await start()
    async with connect(running.peer, [(CT, [EXPLICIT])]) as association:
        context = scu.need_context(association, CT)
        with pytest.raises(Corrupt):
            await association.store(context.id, command(association, "1.2"), Zeros(0), 10)
        assert (await association.store(context.id, command(association, "1.3"), Zeros(10), 10)).status == 0


async def test_an_object_that_ends_in_the_middle_ends_the_association(start: Start) -> None:
    running = await start()
    association = await _associated(running)
    context = scu.need_context(association, CT)
    with pytest.raises(AssociationAborted, match="shorter than it should be"):
        await association.store(context.id, command(association, "1.2"), Zeros(2 * MIB), 5 * MIB)
    await eventually(lambda: running.seen.outcomes == ["aborted by peer"])
    assert running.service.received == []


async def test_a_peer_that_takes_nothing_more_is_given_up_at_the_deadline(start: Start) -> None:
    running = await start()
    running.service.sink_factory = Stuck
    association = await _associated(running)
    context = scu.need_context(association, CT)
    with pytest.raises(PeerTimeout, match="accepted no data"):
        await association.store(context.id, command(association, "1.2"), Zeros(64 * MIB), 64 * MIB, timeout=0.5)
    assert not association.is_open


async def test_a_caller_that_is_cancelled_in_the_middle_of_an_object_ends_the_association(start: Start) -> None:
    running = await start()
    running.service.sink_factory = Stuck
    association = await _associated(running)
    context = scu.need_context(association, CT)
    storing = asyncio.create_task(
        association.store(context.id, command(association, "1.2"), Zeros(64 * MIB), 64 * MIB, timeout=30)
    )
    await asyncio.sleep(0.2)
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing
    assert not association.is_open


async def _associated(running: object) -> Association:
    from gantry.common.net.client import associate

    return await associate(running.peer, [(CT, [EXPLICIT])])  # type: ignore[attr-defined]
