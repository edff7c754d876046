"""What shadow mode asks twice, by the class of the question; and the worklist."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.standard.sop_classes import MODALITY_WORKLIST_FIND, STUDY_ROOT_FIND, STUDY_ROOT_GET
from gantry.common.net import connect, scu
from tests.integration.common.net.conftest import FAST, Echo, eventually, start  # noqa: F401
from tests.integration.services.frontdoor.shadow_door import (
    TRUSTING,
    Lister,
    ShadowDoor,
    shadow_door,
)
from tests.support.wire import CT, IMPLICIT, VERIFICATION


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
            return len([response async for response, _ in scu.find(association, MODALITY_WORKLIST_FIND, question)])

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
