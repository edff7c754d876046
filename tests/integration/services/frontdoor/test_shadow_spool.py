"""The spool of shadow mode: what a peer stores reaches the other archive, in the peer's order, though it is too long
for memory, or that archive is slow, or away, or the door is started anew."""

from __future__ import annotations

import asyncio
import stat
import struct
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND
from gantry.common.net import Peer, connect, scu
from gantry.common.runtime.backoff import Delays
from gantry.common.ul import AssociateReject
from gantry.services.frontdoor.shadow import shadowing
from gantry.services.frontdoor.shadow.spooling import files
from gantry.services.frontdoor.shadow.spooling import spool as spooling
from tests.integration.common.net.conftest import FAST, Running, eventually, start  # noqa: F401
from tests.integration.services.frontdoor.shadow_door import (
    TRUSTING,
    Bytes,
    Finder,
    ShadowDoor,
    aborts,
    never_answers,
    shadow_door,
    talking,
)
from tests.support.ports import free_port
from tests.support.wire import CT, EXPLICIT, IMPLICIT

ENOUGH = 5.0
PATTERN = struct.pack(">1500000I", *range(1_500_000))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other fast."""
    monkeypatch.setattr(shadowing, "DELAYS", Delays(first=0.05, longest=0.2))


class Counting(Bytes):
    """A data set whose bytes say where they stand, so that one that is missing, or in another place, is seen."""

    async def readinto(self, buffers: list[memoryview]) -> int:
        filled = 0
        for buffer in buffers:
            chunk = PATTERN[-self.left :][: min(len(buffer), self.left)] if self.left else b""
            buffer[: len(chunk)] = chunk
            self.left -= len(chunk)
            filled += len(chunk)
        return filled


async def store(peer: Peer, *lengths: int, first: int = 1) -> None:
    """Store objects of such lengths on one association; each is a Success, soon."""
    async with asyncio.timeout(ENOUGH), connect(peer, [(CT, (EXPLICIT,))]) as association:
        context = scu.need_context(association, CT)
        for number, length in enumerate(lengths, start=first):
            answer = await scu.store(association, context, f"1.2.{number}", Counting(length), length)
            assert answer.status == 0


def names(archive: Running) -> list[str]:
    return [uid for uid, _ in archive.service.received]


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*/*/*") if path.name.isdigit())


def nothing_is_lost(door: ShadowDoor) -> None:
    for reason in ("too_long", "fell_behind", "spool_full", "unreachable", "aborted", "timeout", "unanswered"):
        assert door.counted("shadow_given_up", reason) == 0, reason


async def test_an_object_that_is_longer_than_the_memory_is_mirrored_in_its_place(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    ours, other = await start(TRUSTING), await start(FAST)
    spool = tmp_path / "spool"
    async with shadow_door(tmp_path, ours.port, other.port, memory=1, spool=spool) as door:
        await store(door.peer, 10, 5_000_000, 10, 3_000_001)
        await eventually(lambda: door.counted("shadow_compared", "C-STORE", "same") == 4)
        assert other.service.received == ours.service.received
        nothing_is_lost(door)
        await eventually(lambda: not files_in(spool))
        await eventually(lambda: door.shadow._room.used == 0)
        spooled = door.shadow.spool
        assert spooled is not None
        await eventually(lambda: (spooled.used, spooled.objects, spooled.lines) == (0, 0, {}))
        assert door.counted("shadow_put_off", "unreachable") == 0


async def test_a_shadow_that_falls_behind_gets_all_of_it_later_in_the_order_of_the_peer(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    ours, other = await start(TRUSTING), await start(FAST)
    other.service.gate.clear()
    spool = tmp_path / "spool"
    async with shadow_door(tmp_path, ours.port, other.port, memory=1, spool=spool, timeout=30.0) as door:
        await store(door.peer, *[100_000 + number for number in range(30)])
        await eventually(lambda: len(files_in(spool)) > 20)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in files_in(spool)}
        assert modes == {0o600}
        assert {stat.S_IMODE(path.stat().st_mode) for path in (spool, *spool.glob("*"), *spool.glob("*/*/"))} == {0o700}
        other.service.gate.set()
        await eventually(lambda: door.counted("shadow_compared", "C-STORE", "same") == 30)
        assert other.service.received == ours.service.received
        nothing_is_lost(door)
        await eventually(lambda: not files_in(spool))


async def test_what_is_stored_while_the_shadow_is_away_reaches_it_when_it_is_back(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    ours, port = await start(TRUSTING), free_port()
    async with shadow_door(tmp_path, ours.port, port, memory=1, spool=tmp_path / "spool") as door:
        await store(door.peer, 10, 2_000_000, 20)
        await store(door.peer, 30, first=4)
        await eventually(lambda: door.counted("shadow_put_off", "unreachable") == 2)
        assert door.shadow.spool is not None
        await eventually(lambda: door.shadow.spool is not None and door.shadow.spool.objects == 4)
        other = await start(FAST)
        await other.server.start("127.0.0.1", port)
        await eventually(lambda: door.counted("shadow_compared", "C-STORE", "same") == 4)
        # In the order of each association; the two may overtake each other.
        assert sorted(other.service.received) == sorted(ours.service.received)
        nothing_is_lost(door)
        assert door.counted("shadow_reached", "") == 1


async def test_what_waits_for_gantry_before_the_switch_reaches_it_after_it(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    other, port, spool = await start(FAST), free_port(), tmp_path / "spool"
    async with shadow_door(tmp_path, port, other.port, spool=spool, answers="other") as door:
        await store(door.peer, 10, 20)
        await eventually(lambda: len(files_in(spool)) == 2)
    ours = await start(TRUSTING)
    await ours.server.start("127.0.0.1", port)
    async with shadow_door(tmp_path, port, other.port, spool=spool, answers="gantry") as door:
        await eventually(lambda: door.counted("shadow_compared", "C-STORE", "same") == 2)
        assert ours.service.received == other.service.received
        # Gantry learns who the peer was from the door, which it trusts.
        (association,) = ours.seen.opened_
        assert (association.calling_ae_title, association.peer_address) == ("TEST", "127.0.0.1")


async def test_a_shadow_that_breaks_off_in_the_middle_misses_nothing(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    ours, other = await start(TRUSTING), await start(FAST)
    async with shadow_door(tmp_path, ours.port, other.port, spool=tmp_path / "spool") as door:
        async with asyncio.timeout(ENOUGH), connect(door.peer, [(CT, (EXPLICIT,))]) as association:
            context = scu.need_context(association, CT)
            for number in range(1, 13):
                if number == 4:
                    await eventually(lambda: len(other.service.received) == 3)
                    other.service.gate.clear()
                answer = await scu.store(association, context, f"1.2.{number}", Bytes(1000), 1000)
                assert answer.status == 0
                if number == 4:
                    await eventually(lambda: other.service._at_once == 1)
                    other.seen.opened_[0].abort("a restart")
                    other.service.gate.set()
        await eventually(lambda: len(set(names(other))) == 12)
        await eventually(lambda: door.shadow.spool is not None and door.shadow.spool.objects == 0)
        assert list(dict.fromkeys(names(other))) == names(ours)
        nothing_is_lost(door)
        assert door.counted("shadow_put_off", "aborted") == 1


@pytest.mark.parametrize("refusal", ["rejects", "out of resources"])
async def test_a_shadow_that_refuses_for_now_gets_it_later(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
    refusal: str,
) -> None:
    ours, other = await start(TRUSTING), await start(FAST)
    async with shadow_door(tmp_path, ours.port, other.port, spool=tmp_path / "spool") as door:
        other.seen.reject = AssociateReject(2, 3, 1)
        await store(door.peer, 10, 20)
        await eventually(lambda: door.counted("shadow_put_off", "rejected") == 1)
        if refusal == "out of resources":
            other.service.status = 0xA700
            other.seen.reject = None
            await eventually(lambda: other.service.performed > 1)
            other.service.status = 0
        other.seen.reject = None
        await eventually(lambda: door.counted("shadow_compared", "C-STORE", "same") == 2)
        assert door.counted("shadow_compared", "C-STORE", "different") == 0
        nothing_is_lost(door)


async def test_a_door_that_is_started_anew_goes_on_where_the_last_one_was(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    ours, port, spool = await start(TRUSTING), free_port(), tmp_path / "spool"
    async with shadow_door(tmp_path, ours.port, port, memory=1, spool=spool) as door:
        await store(door.peer, 10, 2_000_000, 20)
        await eventually(lambda: len(files_in(spool)) == 3)
    (line,) = spool.glob("*/*/")
    (line / "00000003.part").write_bytes(b"half of it")
    (line / "00000004").write_bytes(b"what is no file of ours")
    other = await start(FAST)
    await other.server.start("127.0.0.1", port)
    async with shadow_door(tmp_path, ours.port, port, memory=1, spool=spool) as door:
        await eventually(lambda: door.counted("shadow_compared", "C-STORE", "same") == 3)
        assert other.service.received == ours.service.received
        await eventually(lambda: door.counted("shadow_given_up", "half_written") == 2)
        await eventually(lambda: not files_in(spool))
        assert len(list(spool.iterdir())) == 1  # what the last one had is taken over


async def test_two_processes_of_a_door_leave_each_other_alone(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    ours, port, spool = await start(TRUSTING), free_port(), tmp_path / "spool"
    async with shadow_door(tmp_path, ours.port, port, spool=spool) as first:
        await store(first.peer, 10)
        await eventually(lambda: len(files_in(spool)) == 1)
        async with shadow_door(tmp_path, ours.port, port, spool=spool) as second:
            assert second.shadow.spool is not None
            assert second.shadow.spool.objects == 0
            assert first.shadow.spool is not None
            assert first.shadow.spool.objects == 1


async def test_what_waits_in_memory_when_the_door_ends_is_left_to_the_next_one(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    ours, spool = await start(TRUSTING), tmp_path / "spool"
    async with (
        talking(never_answers) as port,
        shadow_door(tmp_path, ours.port, port, spool=spool, timeout=60.0) as door,
    ):
        await store(door.peer, 10, 20, 30)
        await eventually(lambda: len(door.shadow._mirrors) == 1)
    other = await start(FAST)
    async with shadow_door(tmp_path, ours.port, other.port, spool=spool) as door:
        await eventually(lambda: door.counted("shadow_compared", "C-STORE", "same") == 3)
        assert other.service.received == ours.service.received


async def test_what_a_process_leaves_that_ends_after_the_next_one_began_is_taken_over(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shadowing, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(shadowing, "_TAKE_OVER_SECONDS", 0.02)
    ours, spool = await start(TRUSTING), tmp_path / "spool"
    other = await start(FAST)
    async with AsyncExitStack() as first:
        door = await first.enter_async_context(shadow_door(tmp_path / "a", ours.port, free_port(), spool=spool))
        await store(door.peer, 10, 20)
        await eventually(lambda: len(files_in(spool)) == 2)
        async with shadow_door(tmp_path / "b", ours.port, other.port, spool=spool) as next_door:
            await asyncio.sleep(0.2)
            assert names(other) == []  # the first one lives
            await first.aclose()
            await eventually(lambda: next_door.counted("shadow_compared", "C-STORE", "same") == 2)
            assert names(other) == ["1.2.1", "1.2.2"]
            await eventually(lambda: not files_in(spool))


async def test_a_disk_that_does_not_answer_holds_up_no_peer(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spooling, "_OPEN_SECONDS", 0.05)
    monkeypatch.setattr(shadowing, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(shadowing, "_TAKE_OVER_SECONDS", 0.02)
    hangs, own_folder = threading.Event(), files.own_folder

    def hanging(*arguments: Any) -> int:
        assert hangs.wait(5)
        return own_folder(*arguments)

    monkeypatch.setattr(files, "own_folder", hanging)
    ours, other = await start(TRUSTING), await start(FAST)
    async with shadow_door(tmp_path, ours.port, other.port, spool=tmp_path / "spool", is_open=False) as door:
        assert door.shadow.spool is not None
        for _ in range(3):
            await asyncio.wait_for(door.shadow.spool.open(), 1)
        assert not door.shadow.spool.is_open
        await store(door.peer, 10)
        await eventually(lambda: names(other) == ["1.2.1"])
        hangs.set()
        await eventually(lambda: door.shadow.spool.is_open)


async def test_whoever_is_cancelled_while_a_file_is_opened_leaves_it_closed(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = await start(TRUSTING)
    async with shadow_door(tmp_path, ours.port, free_port(), spool=tmp_path / "spool") as door:
        await store(door.peer, 10)
        spool = door.shadow.spool
        assert spool is not None
        await eventually(lambda: len(files_in(tmp_path / "spool")) == 1)
        (line,) = spool.lines.values()
        (entry,) = line.entries.values()
        begun, goes_on, open_object = threading.Event(), threading.Event(), files.open_object
        sources = []

        def slow(*arguments: Any) -> Any:
            begun.set()
            assert goes_on.wait(5)
            sources.append(source := open_object(*arguments))
            return source

        monkeypatch.setattr(files, "open_object", slow)
        opening = asyncio.create_task(spool.opened(entry))
        await asyncio.to_thread(begun.wait, 5)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        goes_on.set()
        await eventually(lambda: bool(sources) and sources[0][0]._fd < 0)


async def test_a_spool_that_is_full_gives_up_and_the_peer_does_not_notice(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    ours, port = await start(TRUSTING), free_port()
    most = 1 << 20
    async with shadow_door(tmp_path, ours.port, port, spool=tmp_path / "spool", spool_bytes=most) as door:
        await store(door.peer, 600_000, 600_000, 100_000, 5_000_000)
        await eventually(lambda: door.counted("shadow_given_up", "spool_full") == 2)
        spool = door.shadow.spool
        assert spool is not None
        assert (spool.objects, spool.used <= most) == (2, True)
        await spool.look(0)
        spool.tick()
        assert door.counted("shadow_spool_bytes", "") == spool.used
        assert door.counted("shadow_spool_limit_bytes", "") == most
        assert door.counted("shadow_spool_objects", "") == 2
        await asyncio.sleep(0.05)
        spool.tick()
        assert 0 < door.counted("shadow_spool_oldest_seconds", "") < 60


async def test_what_waits_for_too_long_is_given_up(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shadowing, "_LOOK_SECONDS", 0.05)
    ours, port = await start(TRUSTING), free_port()
    async with shadow_door(tmp_path, ours.port, port, spool=tmp_path / "spool", spool_hours=0.0001) as door:
        await store(door.peer, 10, 20)
        await eventually(lambda: door.counted("shadow_given_up", "expired") == 2)
        assert door.shadow.spool is not None
        assert door.shadow.spool.used == 0
        await eventually(lambda: not files_in(tmp_path / "spool"))


async def test_an_object_that_the_shadow_never_takes_does_not_keep_the_others_away(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, other = await start(TRUSTING), await start(FAST)
    takes = other.service.perform

    async def perform(request: Any) -> None:
        if request.command.sop_instance_uid == "1.2.2":
            request.association.abort("not this one")
        else:
            await takes(request)

    monkeypatch.setattr(other.service, "perform", perform)
    async with shadow_door(tmp_path, ours.port, other.port, spool=tmp_path / "spool") as door:
        await store(door.peer, 10, 20, 30)
        await eventually(lambda: door.counted("shadow_given_up", "aborted") == 1, 10.0)
        await eventually(lambda: names(other) == ["1.2.1", "1.2.3"])


async def test_a_disk_that_refuses_is_counted_and_the_peer_does_not_notice(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, port = await start(TRUSTING), free_port()

    def refuses(*_: object) -> None:
        raise OSError(5, "Input/output error")

    async with shadow_door(tmp_path, ours.port, port, spool=tmp_path / "spool") as door:
        monkeypatch.setattr(spooling.files.Writing, "finish", refuses)
        await store(door.peer, 10)
        await eventually(lambda: door.counted("shadow_given_up", "spool_failed") == 1)
        assert door.shadow.spool is not None
        assert (door.shadow.spool.objects, door.shadow.spool.used) == (0, 0)
        monkeypatch.undo()
        monkeypatch.setattr(shadowing, "DELAYS", Delays(first=0.05, longest=0.2))
        await store(door.peer, 10)
        await eventually(lambda: len(files_in(tmp_path / "spool")) == 1)


async def test_more_associations_than_are_mirrored_at_once_are_put_off(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    ours, other = await start(TRUSTING), await start(FAST)
    async with shadow_door(tmp_path, ours.port, other.port, spool=tmp_path / "spool", associations=1) as door:
        async with connect(door.peer, [(CT, (EXPLICIT,))]):
            await store(door.peer, 10, 20)
            await eventually(lambda: door.counted("shadow_compared", "C-STORE", "same") == 2)
        assert door.counted("shadow_put_off", "busy") == 1
        assert door.counted("shadow_given_up", "busy") == 0
        assert other.service.received == ours.service.received


async def test_questions_that_have_no_room_end_the_comparison_and_lose_nothing_that_is_stored(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    ours, other = await start(TRUSTING, [Finder()]), await start(FAST, [Finder()])
    other.service.gate.clear()
    question = encode_identifier({0x00080052: ["STUDY"], 0x0020000D: [], 0x00081030: ["x" * 100_000]}, IMPLICIT)
    spool = tmp_path / "spool"
    async with shadow_door(tmp_path, ours.port, other.port, memory=1, spool=spool, timeout=30.0) as door:
        contexts = [(CT, (EXPLICIT,)), (STUDY_ROOT_FIND, (IMPLICIT,))]
        async with asyncio.timeout(ENOUGH), connect(door.peer, contexts) as association:
            context = scu.need_context(association, CT)
            for number in range(1, 5):
                await scu.store(association, context, f"1.2.{number}", Counting(1000), 1000)
                for _ in range(5):
                    assert [
                        response.status async for response, _ in scu.find(association, STUDY_ROOT_FIND, question)
                    ] == [0]
        await eventually(lambda: door.counted("shadow_put_off", "fell_behind") == 1)
        other.service.gate.set()
        await eventually(lambda: door.counted("shadow_compared", "C-STORE", "same") == 4)
        assert list(dict(other.service.received)) == names(ours)
        assert door.counted("shadow_given_up", "fell_behind") == 1
        await eventually(lambda: door.shadow._room.used == 0)


async def test_what_is_asked_beside_is_given_up_and_what_is_stored_is_not(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    ours, other = await start(TRUSTING), await start(FAST)
    async with talking(aborts) as port, shadow_door(tmp_path, ours.port, port, spool=tmp_path / "spool") as door:
        await store(door.peer, 10, 20)
        await eventually(lambda: door.counted("shadow_put_off", "aborted") == 1)
        assert door.counted("shadow_given_up", "aborted") == 0
        assert other.service.received == []
