"""Shadow mode before real servers: the peer gets what it would get without it, and what the other archive does is
counted, whatever it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.clock import ManualClock
from gantry.common.config.tls import client_context, server_context
from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.standard.sop_classes import MODALITY_WORKLIST_FIND, STUDY_ROOT_FIND, STUDY_ROOT_GET
from gantry.common.dimse import message_pdus, response_to
from gantry.common.errors import AssociationRejected, DependencyUnavailable
from gantry.common.net import Peer, connect, scu
from gantry.common.net.client import associate
from gantry.common.ports.blobs import BlobStore
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Ability, AssociateReject, RoleSelection
from gantry.services.frontdoor.shadow.keeping import Keeper, saved
from gantry.services.frontdoor.shadow.overhearing import Overheard, Room
from gantry.services.frontdoor.shadow.recording import Recorder
from gantry.services.frontdoor.shadow.tally import added_up
from tests.integration.common.net.conftest import FAST, Echo, eventually, start  # noqa: F401
from tests.integration.services.frontdoor.shadow_door import (
    TRUSTING,
    Finder,
    Getter,
    Lister,
    ShadowDoor,
    Talk,
    accept,
    command_of,
    shadow_door,
    talking,
)
from tests.support.archive import free_port
from tests.support.certificates import Authority, settings
from tests.support.wire import CT, EXPLICIT, IMPLICIT, USER_ABORT, VERIFICATION

CONTEXTS = [(CT, (EXPLICIT,)), (VERIFICATION, (IMPLICIT,)), (STUDY_ROOT_FIND, (IMPLICIT,))]
QUESTION = encode_identifier({0x00080052: ["STUDY"], 0x0020000D: [], 0x00081030: []}, IMPLICIT)
ENOUGH = 3.0
"""Seconds within which a peer is served, whatever the other archive does."""


class Bytes:
    """A data set of so many bytes."""

    def __init__(self, length: int) -> None:
        self.left = length

    async def readinto(self, buffers: list[memoryview]) -> int:
        filled = 0
        for buffer in buffers:
            count = min(len(buffer), self.left)
            self.left -= count
            filled += count
        return filled

    async def close(self) -> None: ...


async def a_day_of(peer: Peer, objects: int = 2, length: int = 100_000) -> list[int]:
    """What a peer hears of an echo, some objects and a question."""
    async with asyncio.timeout(ENOUGH), connect(peer, CONTEXTS) as association:
        heard = [await scu.echo(association)]
        context = scu.need_context(association, CT)
        for number in range(objects):
            heard.append((await scu.store(association, context, f"1.2.{number + 1}", Bytes(length), length)).status)
        async for response, _ in scu.find(association, STUDY_ROOT_FIND, QUESTION):
            heard.append(response.status)
        return heard


DAY = [0, 0, 0, 0xFF00, 0]


# ---- both answer


async def test_what_both_answer_alike_is_the_same(start, tmp_path: Path) -> None:  # noqa: F811
    ours, other = await start(TRUSTING, [Finder(_1_1="a")]), await start(FAST, [Finder(_1_1="a")])
    async with shadow_door(tmp_path, ours.port, other.port) as door:
        assert await a_day_of(door.peer) == DAY
        await eventually(lambda: door.counted("shadow_compared", "C-FIND", "same") == 1)
        assert door.counted("shadow_compared", "C-ECHO", "same") == 1
        assert door.counted("shadow_compared", "C-STORE", "same") == 2
        assert door.counted("shadow_compared", "A-ASSOCIATE", "same") == 1
        assert [uid for uid, _ in other.service.received] == ["1.2.1", "1.2.2"]
        assert other.service.received == ours.service.received
        (association,) = other.seen.opened_
        assert association.calling_ae_title == "TEST"


async def test_other_statuses_and_matches_are_told_by_their_kind(start, tmp_path: Path) -> None:  # noqa: F811
    ours, other = await start(TRUSTING, [Finder(_1_1="a", _1_2="b")]), await start(FAST, [Finder(_1_1="x", _1_3="c")])
    other.service.status = 0xA700
    async with shadow_door(tmp_path, ours.port, other.port, again_after=0) as door:
        assert await a_day_of(door.peer) == [0, 0, 0, 0xFF00, 0xFF00, 0]
        await eventually(lambda: door.counted("shadow_compared", "C-FIND", "different") == 1)
        for kind in ("only_gantry", "only_other", "attributes"):
            assert door.counted("shadow_differences", "C-FIND", kind) == 1
        assert door.counted("shadow_differences", "C-STORE", "status") == 2
        assert door.counted("shadow_differences", "C-ECHO", "status") == 1


async def test_what_is_only_late_is_the_same_at_the_second_look(start, tmp_path: Path) -> None:  # noqa: F811
    mine, theirs = Finder(_1_1="a"), Finder()
    ours, other = await start(TRUSTING, [mine]), await start(FAST, [theirs])
    async with shadow_door(tmp_path, ours.port, other.port, again_after=0.3) as door:
        assert await a_day_of(door.peer) == DAY
        await eventually(lambda: theirs.asked == 1)
        await asyncio.sleep(0.1)
        assert theirs.asked == 1  # not before the grace is over
        theirs.studies = dict(mine.studies)
        await eventually(lambda: door.counted("shadow_compared", "C-FIND", "same") == 1)
        assert door.counted("shadow_compared", "C-FIND", "different") == 0
        assert (mine.asked, theirs.asked) == (2, 2)
        await eventually(lambda: door.shadow._room.used == 0)


async def test_contexts_that_the_other_one_refuses_are_told_and_the_rest_is_compared(start, tmp_path: Path) -> None:  # noqa: F811
    ours, other = await start(TRUSTING, [Finder(_1_1="a")]), await start(FAST)
    async with shadow_door(tmp_path, ours.port, other.port) as door:
        assert await a_day_of(door.peer) == DAY
        await eventually(lambda: door.counted("shadow_given_up", "context") == 1)
        assert door.counted("shadow_differences", "A-ASSOCIATE", "contexts") == 1
        assert door.counted("shadow_compared", "C-STORE", "same") == 2


async def test_who_prefers_another_transfer_syntax_is_told_and_compared_all_the_same(start, tmp_path: Path) -> None:  # noqa: F811
    mine, theirs = Finder(_1_1="a"), Finder(_1_1="a")
    mine.abilities = {STUDY_ROOT_FIND: Ability(preferred=(EXPLICIT,))}
    theirs.abilities = {STUDY_ROOT_FIND: Ability(preferred=(IMPLICIT,))}
    ours, other = await start(TRUSTING, [mine]), await start(FAST, [theirs])
    question = encode_identifier({0x00080052: ["STUDY"], 0x0020000D: [], 0x00081030: []}, EXPLICIT)
    async with shadow_door(tmp_path, ours.port, other.port) as door:
        async with connect(door.peer, [(STUDY_ROOT_FIND, (IMPLICIT, EXPLICIT))]) as association:
            answers = [answer.status async for answer, _ in scu.find(association, STUDY_ROOT_FIND, question)]
        assert answers == [0xFF00, 0]
        await eventually(lambda: door.counted("shadow_compared", "C-FIND", "same") == 1)
        assert door.counted("shadow_differences", "A-ASSOCIATE", "transfer_syntaxes") == 1
        await eventually(lambda: door.shadow._room.used == 0)


async def test_before_the_switch_peers_hear_the_other_one(start, tmp_path: Path) -> None:  # noqa: F811
    ours, other = await start(TRUSTING, [Finder(_1_1="a")]), await start(FAST, [Finder(_1_2="b")])
    other.service.status = 0xB000
    async with shadow_door(tmp_path, ours.port, other.port, answers="other", ae_title="OLD", again_after=0) as door:
        assert await a_day_of(door.peer) == [0xB000, 0xB000, 0xB000, 0xFF00, 0]
        await eventually(lambda: door.counted("shadow_differences", "C-FIND", "only_gantry") == 1)
        assert door.counted("shadow_differences", "C-STORE", "status") == 2
        assert [one.called_ae_title for one in other.seen.opened_] == ["OLD"]
        (mirrored,) = ours.seen.opened_
        # Gantry learns who the peer is from the door, which it trusts.
        assert (mirrored.called_ae_title, mirrored.peer_address) == ("GANTRY", "127.0.0.1")


async def test_before_the_switch_an_archive_of_ours_that_is_away_is_not_noticed(start, tmp_path: Path) -> None:  # noqa: F811
    other = await start(FAST, [Finder(_1_1="a")])
    async with shadow_door(tmp_path, free_port(), other.port, answers="other") as door:
        assert await a_day_of(door.peer) == DAY
        await eventually(lambda: door.counted("shadow_given_up", "unreachable") == 1)


async def test_one_of_them_rejects(start, tmp_path: Path) -> None:  # noqa: F811
    ours, other = await start(TRUSTING), await start(FAST)
    ours.seen.reject = AssociateReject(1, 1, 3)
    async with shadow_door(tmp_path, ours.port, other.port) as door:
        with pytest.raises(AssociationRejected):
            await associate(door.peer, CONTEXTS)
        await eventually(lambda: door.counted("shadow_differences", "A-ASSOCIATE", "rejected") == 1)
        other.seen.reject = AssociateReject(1, 1, 7)
        with pytest.raises(AssociationRejected):
            await associate(door.peer, CONTEXTS)
        await eventually(lambda: door.counted("shadow_compared", "A-ASSOCIATE", "same") == 1)


async def test_the_other_one_is_called_over_tls(start, tmp_path: Path) -> None:  # noqa: F811
    ours, other = await start(TRUSTING), await start(FAST)
    authority = Authority(tmp_path / "authority", "network")
    theirs = settings(authority.sign("127.0.0.1"), authority.ca)
    port = await other.server.start("127.0.0.1", 0, tls=server_context(theirs))
    context = client_context(settings(authority.sign("door"), authority.ca))
    async with shadow_door(tmp_path / "objects", ours.port, port, context) as door:
        async with connect(door.peer, [(VERIFICATION, (IMPLICIT,))]) as association:
            await scu.echo(association)
        await eventually(lambda: door.counted("shadow_compared", "C-ECHO", "same") == 1)
        assert other.seen.opened_[0].peer_speaks_tls


async def test_only_what_is_to_be_asked_is_asked_twice(start, tmp_path: Path) -> None:  # noqa: F811
    ours, other = await start(TRUSTING, [Finder(_1_1="a")]), await start(FAST, [Finder(_1_1="a")])
    async with shadow_door(tmp_path, ours.port, other.port, asks=("find",)) as door:
        assert await a_day_of(door.peer) == DAY
        await eventually(lambda: door.counted("shadow_compared", "C-FIND", "same") == 1)
        assert (other.service.performed, other.service.received) == (0, [])
        assert door.counted("shadow_not_mirrored", "C-STORE") == 2
        async with connect(door.peer, [(VERIFICATION, (IMPLICIT,))]) as association:
            await scu.echo(association)
        assert door.counted("shadow_not_mirrored", "A-ASSOCIATE") == 1
        assert len(other.seen.opened_) == 1


async def test_what_both_send_for_c_get_is_compared_by_its_bytes(start, tmp_path: Path) -> None:  # noqa: F811
    big = bytes(range(256)) * 8192
    mine = Getter(_1_1=big, _1_2=b"ours", _1_3=b"ours alone")
    theirs = Getter(_1_1=big, _1_2=b"theirs")
    ours, other = await start(TRUSTING, [mine]), await start(FAST, [theirs])
    async with shadow_door(tmp_path, ours.port, other.port, memory=1) as door:
        contexts = [(STUDY_ROOT_GET, (IMPLICIT,)), (CT, (EXPLICIT,))]
        taker = Echo()
        roles = [RoleSelection(CT, scu=False, scp=True)]
        for times in (1, 2):
            async with connect(door.peer, contexts, roles=roles, services=[taker]) as association:
                statuses = [answer.status async for answer, _ in scu.get(association, STUDY_ROOT_GET, QUESTION)]
            assert statuses == [0xFF00] * len(mine.objects) + [0]
            await eventually(
                lambda: sum(door.counted("shadow_compared", "C-GET", o) for o in ("same", "different")) == times
            )
            theirs.objects = dict(mine.objects)
        assert [uid for uid, _ in taker.received] == ["1.1", "1.2", "1.3"] * 2
        assert door.counted("shadow_compared", "C-GET", "same") == 1
        for kind in ("only_gantry", "content"):
            assert door.counted("shadow_differences", "C-GET", kind) == 1
        await eventually(lambda: door.shadow._room.used == 0)


# ---- what the other archive may do


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def leaves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)


async def aborts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)
    await command_of(reader)
    writer.write(USER_ABORT)


async def rubbish_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)
    await command_of(reader)
    writer.write(b"\x04\x00\xff\xff\xff\xff" + b"rubbish" * 1000)
    while (await reader.read(65536))[-10:-9] != USER_ABORT[:1]:  # until it is told that this was wrong
        pass
    writer.close()


async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)
    while await reader.read(65536):
        pass


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

    for name in ("asked", "answered"):
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
        while some := await reader.read(65536):
            last = (last + some)[-10:]
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


async def test_only_classes_that_have_no_other_effect_are_asked_twice(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    ours = await start(TRUSTING)
    async with shadow_door(tmp_path, ours.port, ours.port) as door:
        for operation, class_uid in (
            ("C-ECHO", VERIFICATION),
            ("C-FIND", STUDY_ROOT_FIND),
            ("C-GET", STUDY_ROOT_GET),
            ("C-STORE", CT),
        ):
            assert door.shadow._is_mirrored(operation, class_uid)
            assert not door.shadow._is_mirrored(operation, MODALITY_WORKLIST_FIND)
        assert not door.shadow._is_mirrored("C-MOVE", STUDY_ROOT_GET)


async def test_a_worklist_is_compared_where_that_is_asked_for(start, tmp_path: Path) -> None:  # noqa: F811
    mine, theirs = Lister(S1="1.1", S2="1.2"), Lister(S1="1.1", S3="1.3")
    ours, other = await start(TRUSTING, [mine]), await start(FAST, [theirs])
    item = {0x00400009: []}
    question = encode_identifier({0x0020000D: [], 0x00400100: [item]}, IMPLICIT)

    async def ask(door: ShadowDoor) -> int:
        async with connect(door.peer, [(MODALITY_WORKLIST_FIND, (IMPLICIT,))]) as association:
            return len([one async for one, _ in scu.find(association, MODALITY_WORKLIST_FIND, question)])

    async with shadow_door(tmp_path, ours.port, other.port, again_after=0) as door:
        assert await ask(door) == 3
        await eventually(lambda: door.counted("shadow_not_mirrored", "A-ASSOCIATE") == 1)
        assert theirs.asked == 0
    asks = ("find", "worklist")
    async with shadow_door(tmp_path, ours.port, other.port, again_after=0.1, asks=asks) as door:
        assert await ask(door) == 3
        await eventually(lambda: door.counted("shadow_compared", "C-FIND worklist", "different") == 1)
        for kind in ("only_gantry", "only_other"):
            assert door.counted("shadow_differences", "C-FIND worklist", kind) == 1
        theirs.steps = dict(mine.steps)
        assert await ask(door) == 3
        await eventually(lambda: door.counted("shadow_compared", "C-FIND worklist", "same") == 1)
        await eventually(lambda: door.shadow._room.used == 0)


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


async def test_of_a_share_of_half_every_second_one_is_mirrored(start, tmp_path: Path) -> None:  # noqa: F811
    ours, other = await start(TRUSTING), await start(FAST)
    async with shadow_door(tmp_path, ours.port, other.port, share=0.5) as door:
        for _ in range(4):
            async with connect(door.peer, [(VERIFICATION, (IMPLICIT,))]) as association:
                await scu.echo(association)
        await eventually(lambda: door.counted("shadow_compared", "C-ECHO", "same") == 2)
        assert len(other.seen.opened_) == 2


# ---- what is saved


async def test_counts_are_saved_and_those_of_long_ago_removed(tmp_path: Path) -> None:
    store, clock = await open_file_store(tmp_path), ManualClock()
    await store.put("state/shadow/2020-01-01/old.json", [b"{}"])
    recorder = Recorder(clock, Metrics())

    async def opened() -> BlobStore:
        return store

    keeper = Keeper(opened, recorder, clock, 30)
    recorder.not_mirrored("C-MOVE")
    await keeper.save()
    clock.advance(24 * 3600)
    recorder.not_mirrored("C-MOVE")
    await keeper.save()
    await keeper.save()
    whole = added_up([one async for one in saved(store)])
    assert (whole.not_mirrored["C-MOVE"], len(whole.days)) == (2, 2)
    keys = [stat.key async for stat in store.list("state/shadow/")]
    assert len(keys) == 2
    assert len([one async for one in saved(store, max(whole.days))]) == 1
    assert len(recorder.days) == 1, "days that are over and saved are not held"
    await store.put("state/shadow/2020-01-03/later.json", [b'{"version": 2}'])
    assert len([one async for one in saved(store)]) == 2, "what another release wrote is passed over"
    await store.close()


async def test_counts_wait_for_a_store_that_is_away(tmp_path: Path) -> None:
    store, clock = await open_file_store(tmp_path), ManualClock()
    recorder, away = Recorder(clock, Metrics()), True

    async def opened() -> BlobStore:
        if away:
            raise DependencyUnavailable("away")
        return store

    keeper = Keeper(opened, recorder, clock, 30)
    recorder.not_mirrored("C-MOVE")
    await keeper.save()
    assert recorder.unsaved
    away = False

    async def full(*_: object) -> None:
        raise DependencyUnavailable("full")

    put, store.put = store.put, full  # type: ignore[method-assign,assignment]
    await keeper.save()
    assert recorder.unsaved
    store.put = put  # type: ignore[method-assign]
    await keeper.save()
    assert [one.not_mirrored["C-MOVE"] async for one in saved(store)] == [1]
    await store.close()


async def test_an_association_that_the_other_one_closed_in_a_pause_is_opened_again(start, tmp_path: Path) -> None:  # noqa: F811
    ours, other = await start(TRUSTING), await start(FAST)
    async with shadow_door(tmp_path, ours.port, other.port) as door:
        async with connect(door.peer, [(VERIFICATION, (IMPLICIT,))]) as association:
            await scu.echo(association)
            await eventually(lambda: door.counted("shadow_compared", "C-ECHO", "same") == 1)
            other.seen.opened_[0].abort("idle for too long")
            await eventually(lambda: len(other.seen.outcomes) == 1)
            await scu.echo(association)
            await eventually(lambda: door.counted("shadow_compared", "C-ECHO", "same") == 2)
        assert len(other.seen.opened_) == 2


async def test_what_is_under_way_when_the_door_ends_is_counted(start, tmp_path: Path) -> None:  # noqa: F811
    ours, other = await start(TRUSTING, [Finder(_1_1="a")]), await start(FAST, [Finder()])
    async with shadow_door(tmp_path, ours.port, other.port, again_after=600) as door:
        assert await a_day_of(door.peer) == DAY
        await eventually(lambda: len(door.shadow._looks.tasks) == 1)
        await door.shadow.drained()
        metrics = door.metrics
    assert metrics.shadow_given_up.labels("shutdown")._value.get() == 1
    assert [one.given_up["shutdown"] async for one in saved(await open_file_store(tmp_path))] == [1]


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
