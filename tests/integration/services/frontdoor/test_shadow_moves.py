"""C-MOVE in shadow mode before real servers: it is performed once, and both archives are asked what they would send."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.standard.sop_classes import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_MOVE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_MOVE,
)
from gantry.common.dimse import Command, CommandField, Element
from gantry.common.net import MemorySink, Peer, Request, connect
from gantry.common.ul import Ability
from gantry.services.frontdoor.shadow import moves
from gantry.services.frontdoor.shadow.answers import level_of, read
from tests.integration.common.net.conftest import FAST, eventually, start  # noqa: F401
from tests.integration.services.frontdoor.shadow_door import TRUSTING, shadow_door
from tests.support.wire import IMPLICIT

KEYS = {"PATIENT": "00100020", "STUDY": "0020000D", "SERIES": "0020000E", "IMAGE": "00080018"}
LEVELS = list(KEYS)


class Tree:
    """C-FIND level by level, and C-MOVE that sends nothing, over instances as paths: patient, study, series, image."""

    def __init__(self, *instances: str) -> None:
        finds, moves_ = (PATIENT_ROOT_FIND, STUDY_ROOT_FIND), (PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE)
        self.abilities = {uid: Ability() for uid in (*finds, *moves_)}
        self.instances = [tuple(path.split("/")) for path in instances]
        self.asked: list[str] = []
        self.moved = 0
        self.status = 0

    def receive(self, request: Request) -> MemorySink:
        return MemorySink()

    async def perform(self, request: Request) -> None:
        if request.command.field == CommandField.C_MOVE_RQ:
            self.moved += 1
            await request.respond(0xA801)
            return
        if self.status:
            await request.respond(self.status)
            return
        syntax = request.context.transfer_syntax
        question = read(bytes(request.data), syntax)
        level = level_of(question)
        self.asked.append(level)
        depth = LEVELS.index(level)
        keys = {name: [str(value) for value in question.get(tag, {}).get("Value", [])] for name, tag in KEYS.items()}
        matches = {
            path[: depth + 1]
            for path in self.instances
            if all(not keys[name] or path[number] in keys[name] for number, name in enumerate(LEVELS[: depth + 1]))
        }
        key = int(KEYS[level], 16)
        await request.respond_pending(
            [encode_identifier({0x00080052: [level], key: [path[depth]]}, syntax) for path in sorted(matches)]
        )
        await request.respond(0)


async def move(peer: Peer, model: str, level: str, **keys: list[str]) -> int:
    values = {0x00080052: [level], **{int(KEYS[name], 16): value for name, value in keys.items()}}
    async with asyncio.timeout(5), connect(peer, [(model, (IMPLICIT,))]) as association:
        context = association.context_for(model)
        assert context is not None
        command = Command(
            {
                Element.AFFECTED_SOP_CLASS_UID: model,
                Element.COMMAND_FIELD: int(CommandField.C_MOVE_RQ),
                Element.MESSAGE_ID: association.next_message_id(),
                Element.PRIORITY: 0,
                Element.MOVE_DESTINATION: "WORKSTATION",
            }
        )
        data = encode_identifier(dict(sorted(values.items())), IMPLICIT)
        return (await association.request(context.id, command, data))[0].status


HAS = ("P1/1.1/1.1.1/1.1.1.1", "P1/1.1/1.1.1/1.1.1.2", "P1/1.1/1.1.2/1.1.2.1", "P1/1.2/1.2.1/1.2.1.1")


@pytest.mark.parametrize(
    ("model", "level", "keys", "expected"),
    [
        (PATIENT_ROOT_MOVE, "PATIENT", {"PATIENT": ["P1"]}, {"PATIENT": 0, "STUDY": 1, "SERIES": 2, "IMAGE": 3}),
        (STUDY_ROOT_MOVE, "STUDY", {"STUDY": ["1.1", "1.2"]}, {"SERIES": 2, "IMAGE": 3}),
        (STUDY_ROOT_MOVE, "SERIES", {"STUDY": ["1.1"], "SERIES": ["1.1.1", "1.1.2"]}, {"IMAGE": 2}),
        (
            STUDY_ROOT_MOVE,
            "IMAGE",
            {"STUDY": ["1.1"], "SERIES": ["1.1.1"], "IMAGE": ["1.1.1.1", "1.1.1.2"]},
            {"IMAGE": 1},
        ),
    ],
    ids=["patient", "study", "series", "image"],
)
async def test_both_are_asked_level_by_level_what_they_would_send_and_it_is_sent_once(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
    model: str,
    level: str,
    keys: dict[str, list[str]],
    expected: dict[str, int],
) -> None:
    mine, theirs = Tree(*HAS), Tree(*HAS)
    ours, other = await start(TRUSTING, [mine]), await start(FAST, [theirs])
    async with shadow_door(tmp_path, ours.port, other.port, asks=("move",)) as door:
        assert await move(door.peer, model, level, **keys) == 0xA801
        await eventually(lambda: door.counted("shadow_compared", "C-MOVE", "same") == 1)
        assert (mine.moved, theirs.moved) == (1, 0)
        for side in (mine, theirs):
            assert {name: side.asked.count(name) for name in expected} == expected
        await eventually(lambda: door.shadow._room.used == 0)


async def test_what_only_one_of_them_would_send_is_told_after_a_second_look(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    mine, theirs = Tree(*HAS), Tree(*HAS[1:], "P1/1.2/1.2.1/1.2.1.9")
    ours, other = await start(TRUSTING, [mine]), await start(FAST, [theirs])
    async with shadow_door(tmp_path, ours.port, other.port, asks=("move",), again_after=0.1) as door:
        await move(door.peer, STUDY_ROOT_MOVE, "STUDY", STUDY=["1.1", "1.2"])
        await eventually(lambda: door.counted("shadow_compared", "C-MOVE", "different") == 1)
        for kind in ("only_gantry", "only_other"):
            assert door.counted("shadow_differences", "C-MOVE", kind) == 1
        assert theirs.asked.count("IMAGE") == 6
        (example, *_) = door.shadow.recorder.days[next(iter(door.shadow.recorder.days))].examples
        assert example.uids == ("1.1.1.1",)


async def test_what_cannot_be_asked_is_not_compared(
    start: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine, theirs = Tree(*HAS), Tree(*HAS)
    ours, other = await start(TRUSTING, [mine]), await start(FAST, [theirs])
    async with shadow_door(tmp_path, ours.port, other.port, asks=("move",)) as door:
        theirs.status = 0xA900
        await move(door.peer, STUDY_ROOT_MOVE, "STUDY", STUDY=["1.1"])
        await eventually(lambda: door.counted("shadow_given_up", "no_find") == 1)
        theirs.status = 0
        await move(door.peer, STUDY_ROOT_MOVE, "STUDY")
        await eventually(lambda: door.counted("shadow_given_up", "unreadable") == 1)
        monkeypatch.setattr(moves, "MOST_QUESTIONS", 2)
        await move(door.peer, STUDY_ROOT_MOVE, "STUDY", STUDY=["1.1"])
        await eventually(lambda: door.counted("shadow_given_up", "too_many") == 1)
        assert door.shadow._room.used == 0


async def test_it_is_not_asked_about_where_nobody_wants_it(start: Callable[..., Any], tmp_path: Path) -> None:  # noqa: F811
    mine, theirs = Tree(*HAS), Tree(*HAS)
    ours, other = await start(TRUSTING, [mine]), await start(FAST, [theirs])
    async with shadow_door(tmp_path, ours.port, other.port) as door:
        await move(door.peer, STUDY_ROOT_MOVE, "STUDY", STUDY=["1.1"])
        await eventually(lambda: door.counted("shadow_not_mirrored", "A-ASSOCIATE") == 1)
        assert theirs.asked == []
