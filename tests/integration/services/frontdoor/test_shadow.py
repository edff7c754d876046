"""Shadow mode before real servers: the peer gets what it would get without it, and what the other archive does is
counted, whatever it does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gantry.common.config.tls import client_context, server_context
from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_GET
from gantry.common.errors import AssociationRejected
from gantry.common.net import connect, scu
from gantry.common.net.client import associate
from gantry.common.ul import Ability, AssociateReject, RoleSelection
from tests.integration.common.net.conftest import FAST, Echo, eventually, start  # noqa: F401
from tests.integration.services.frontdoor.shadow_door import (
    CONTEXTS,
    DAY,
    QUESTION,
    TRUSTING,
    Finder,
    Getter,
    a_day_of,
    shadow_door,
)
from tests.support.certificates import Authority, settings
from tests.support.ports import free_port
from tests.support.wire import CT, EXPLICIT, IMPLICIT, VERIFICATION


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
        assert [association.called_ae_title for association in other.seen.opened_] == ["OLD"]
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


async def test_of_a_share_of_half_every_second_one_is_mirrored(start, tmp_path: Path) -> None:  # noqa: F811
    ours, other = await start(TRUSTING), await start(FAST)
    async with shadow_door(tmp_path, ours.port, other.port, share=0.5) as door:
        for _ in range(4):
            async with connect(door.peer, [(VERIFICATION, (IMPLICIT,))]) as association:
                await scu.echo(association)
        await eventually(lambda: door.counted("shadow_compared", "C-ECHO", "same") == 2)
        assert len(other.seen.opened_) == 2


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
