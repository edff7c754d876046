"""Shadow mode before real servers: what the other archive, or our own memory, makes impossible is counted, and the peer
does not notice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.dimse import message_pdus, response_to
from gantry.common.net import connect, scu
from gantry.common.net.client import associate
from gantry.common.ul import AssociateReject
from gantry.services.frontdoor.shadow.keeping import saved
from gantry.services.frontdoor.shadow.overhearing import Overheard, Room
from gantry.services.frontdoor.shadow.recording import Recorder
from tests.integration.common.net.conftest import FAST, Echo, eventually, start  # noqa: F401
from tests.integration.services.frontdoor.shadow_door import (
    CONTEXTS,
    DAY,
    QUESTION,
    TRUSTING,
    Bytes,
    Finder,
    Talk,
    a_day_of,
    aborts,
    accept,
    command_of,
    never_answers,
    shadow_door,
    silent,
    talking,
)
from tests.support.ports import free_port
from tests.support.wire import CT, EXPLICIT, IMPLICIT, USER_ABORT, VERIFICATION


async def leaves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)


async def rubbish_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)
    await command_of(reader)
    writer.write(b"\x04\x00\xff\xff\xff\xff" + b"rubbish" * 1000)
    while (await reader.read(65536))[-10:-9] != USER_ABORT[:1]:  # until it is told that this was wrong
        pass
    writer.close()


async def reads_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)
    await asyncio.sleep(60)


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)
    while True:
        context, command = await command_of(reader)
        if command.field == 0x0020:
            break
        writer.write(message_pdus(context, response_to(command, 0).encode(), None, 16384))
    pending = message_pdus(context, response_to(command, 0xFF00).encode(data_set=True), QUESTION * 50, 16384)
    while True:
        writer.write(pending)
        await writer.drain()


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        (silent, "timeout"),
        (leaves, "aborted"),
        (rubbish, "aborted"),
        (aborts, "aborted"),
        (rubbish_later, "aborted"),
        (never_answers, "timeout"),
        (reads_nothing, "timeout"),
        (endless, "too_many"),
    ],
)
async def test_the_peer_does_not_notice_and_it_is_counted(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
    talk: Talk,
    reason: str,
) -> None:
    ours = await start(TRUSTING, [Finder(_1_1="a")])
    async with talking(talk) as other, shadow_door(tmp_path, ours.port, other, memory=1) as door:
        assert await a_day_of(door.peer, 0 if talk is endless else 2) == (DAY[:1] + DAY[3:] if talk is endless else DAY)
        await eventually(lambda: door.counted("shadow_given_up", reason) == 1, 10.0)
        assert await a_day_of(door.peer) == DAY


async def test_an_archive_that_is_away_is_told_until_it_is_back(start, tmp_path: Path) -> None:  # noqa: F811
    ours, port = await start(TRUSTING, [Finder(_1_1="a")]), free_port()
    async with shadow_door(tmp_path, ours.port, port) as door:
        door.metrics.shadow_reached.labels("").set(1)
        assert await a_day_of(door.peer) == DAY
        await eventually(lambda: door.counted("shadow_given_up", "unreachable") == 1)
        assert door.counted("shadow_reached", "") == 0


async def test_what_goes_wrong_in_the_shadow_is_counted_and_nothing_of_it_gets_to_the_peer(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, other = await start(TRUSTING, [Finder(_1_1="a")]), await start(FAST)

    def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    for name in ("take_requests", "take_responses"):
        async with shadow_door(tmp_path, ours.port, other.port) as door:
            with monkeypatch.context() as patched:
                patched.setattr(Overheard, name, broken)
                assert await a_day_of(door.peer) == DAY
            await eventually(lambda: door.counted("shadow_given_up", "fault") == 1)
            assert await a_day_of(door.peer) == DAY
            await eventually(lambda: door.counted("shadow_compared", "C-ECHO", "same") == 1)
    async with shadow_door(tmp_path, ours.port, other.port) as door:
        with monkeypatch.context() as patched:
            patched.setattr(Recorder, "opened", broken)
            assert await a_day_of(door.peer) == DAY


async def test_association_that_is_given_up_is_aborted(start: Callable[..., Any], tmp_path: Path) -> None:  # noqa: F811
    ended = asyncio.Event()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer)
        last = b""
        while chunk := await reader.read(65536):
            last = (last + chunk)[-10:]
        assert last[:1] == USER_ABORT[:1]
        ended.set()

    ours = await start(TRUSTING, [Finder(_1_1="a")])
    async with talking(listens) as other, shadow_door(tmp_path, ours.port, other) as door:
        async with connect(door.peer, CONTEXTS) as association:
            await scu.echo(association)
            async with asyncio.timeout(5):
                await ended.wait()
            assert await scu.echo(association) == 0


async def test_memory_of_what_was_compared_is_free_while_the_association_goes_on(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    ours, other = await start(TRUSTING), await start(FAST)
    async with shadow_door(tmp_path, ours.port, other.port, memory=1, associations=1) as door:
        for times in (1, 2):
            async with connect(door.peer, [(CT, (EXPLICIT,))]) as association:
                context = scu.need_context(association, CT)
                for number in range(3):
                    length = 600_000
                    await scu.store(association, context, f"1.2.{number}", Bytes(length), length)
                    done = 3 * (times - 1) + number + 1
                    await eventually(lambda done=done: door.counted("shadow_compared", "C-STORE", "same") == done)
                    await eventually(lambda: door.shadow._room.used == 0)
            await eventually(lambda: not door.shadow._mirrors)
        assert door.counted("shadow_given_up", "busy") == 0


async def test_second_look_that_fails_is_counted(start: Callable[..., Any], tmp_path: Path) -> None:  # noqa: F811
    ours, other = await start(TRUSTING, [Finder(_1_1="a")]), await start(FAST, [Finder()])
    async with shadow_door(tmp_path, ours.port, other.port, again_after=0.3) as door:
        assert await a_day_of(door.peer) == DAY
        await eventually(lambda: len(door.shadow._looks.tasks) == 1)
        other.seen.reject = AssociateReject(1, 1, 3)
        await eventually(lambda: door.counted("shadow_given_up", "second_look") == 1)
        assert door.counted("shadow_compared", "C-FIND", "different") == 0


@pytest.mark.parametrize("lacking", ["looks", "room"])
async def test_first_look_counts_where_there_is_no_room_for_a_second_one(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lacking: str,
) -> None:
    ours, other = await start(TRUSTING, [Finder(_1_1="a")]), await start(FAST, [Finder()])
    if lacking == "looks":
        monkeypatch.setattr("gantry.services.frontdoor.shadow.looks.MOST_LOOKS", 0)
    async with shadow_door(tmp_path, ours.port, other.port, again_after=600) as door:
        if lacking == "room":
            door.shadow._looks._room = Room(0)
        assert await a_day_of(door.peer) == DAY
        await eventually(lambda: door.counted("shadow_compared", "C-FIND", "different") == 1)


async def test_who_falls_behind_is_given_up_and_the_memory_is_free_again(start, tmp_path: Path) -> None:  # noqa: F811
    ours = await start(TRUSTING, [Finder(_1_1="a")])
    async with talking(never_answers) as other, shadow_door(tmp_path, ours.port, other, memory=1) as door:
        assert await a_day_of(door.peer, 20) == [0] * 21 + [0xFF00, 0]
        await eventually(lambda: door.counted("shadow_given_up", "fell_behind") == 1)
        await eventually(lambda: door.shadow._room.used == 0)


async def test_an_object_that_is_too_long_is_not_mirrored_and_the_next_one_is(start, tmp_path: Path) -> None:  # noqa: F811
    ours, other = await start(TRUSTING), await start(FAST)
    async with shadow_door(tmp_path, ours.port, other.port, memory=1) as door:
        async with connect(door.peer, [(CT, (EXPLICIT,))]) as association:
            context = scu.need_context(association, CT)
            for number, length in enumerate((3_000_000, 10)):
                answer = await scu.store(association, context, f"1.2.{number}", Bytes(length), length)
                assert answer.status == 0
        await eventually(lambda: door.counted("shadow_compared", "C-STORE", "same") == 1)
        assert door.counted("shadow_given_up", "too_long") == 1
        assert [uid for uid, _ in other.service.received] == ["1.2.1"]


async def test_there_are_no_more_at_once_than_there_may_be(start, tmp_path: Path) -> None:  # noqa: F811
    ours = await start(TRUSTING)
    async with talking(silent) as other, shadow_door(tmp_path, ours.port, other, associations=1) as door:
        for _ in range(2):
            async with connect(door.peer, [(VERIFICATION, (IMPLICIT,))]) as association:
                assert await scu.echo(association) == 0
        assert door.counted("shadow_given_up", "busy") == 1


async def test_what_is_under_way_when_the_door_ends_is_counted(start, tmp_path: Path) -> None:  # noqa: F811
    ours, other = await start(TRUSTING, [Finder(_1_1="a")]), await start(FAST, [Finder()])
    async with shadow_door(tmp_path, ours.port, other.port, again_after=600) as door:
        assert await a_day_of(door.peer) == DAY
        await eventually(lambda: len(door.shadow._looks.tasks) == 1)
        await door.shadow.drained()
        metrics = door.metrics
    assert metrics.shadow_given_up.labels("shutdown")._value.get() == 1
    assert [record.given_up["shutdown"] async for record in saved(await open_file_store(tmp_path))] == [1]


async def test_association_that_is_mirrored_when_the_door_ends_is_counted(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    ours = await start(TRUSTING)
    async with talking(never_answers) as other:
        async with shadow_door(tmp_path, ours.port, other, timeout=30.0) as door:
            association = await associate(door.peer, CONTEXTS)
            await scu.echo(association)
            await eventually(lambda: bool(door.shadow._mirrors))
            metrics = door.metrics
        assert metrics.shadow_given_up.labels("shutdown")._value.get() == 1
        assert metrics.shadow_open._value.get() == 0
