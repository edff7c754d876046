"""Conflicts as a worklist: listed in pages, two sides compared, one made current, either deleted."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web

from gantry.common.errors import NotFound
from gantry.common.ids import DEFAULT_PARTITION, is_uid
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import ReadIndex
from gantry.common.web.errors import HttpProblem
from gantry.common.web.json_bodies import json_body
from gantry.services.lifecycle.copies import choose, give_up
from gantry.services.lifecycle.deletions import Deletions, Done
from gantry.services.maintenance.comparing_apart import LARGEST, compare_apart
from gantry.services.maintenance.conflicts import ConflictSide, fetch, in_conflict, sides_of
from gantry.services.operations.callers import Operators
from gantry.services.operations.turns import RequestLimit
from gantry.services.operations.web import Parts, answer_json, number

_MOST = 10_000
"""Most SOP Instance UIDs that are counted and listed."""
_COUNT_SECONDS = 5.0
_COMPARE_SECONDS = 120.0


class ConflictsPart:
    """Reads the index and the objects; decides by deleting."""

    def __init__(
        self, objects: BlobStore, index: ReadIndex, deletions: Deletions, operators: Operators, turns: RequestLimit
    ) -> None:
        self._objects = objects
        self._index = index
        self._deletions = deletions
        self._operators = operators
        self._turns = turns
        self._comparing = RequestLimit(1, _COMPARE_SECONDS)

    def parts(self) -> Parts:
        """What it answers."""
        return {
            ("GET", "conflicts"): self.listed,
            ("GET", "conflicts/{}"): self.show,
            ("GET", "conflicts/{}/comparison"): self.compare,
            ("POST", "conflicts/{}/choice"): self.choose,
            ("POST", "conflicts/{}/removal"): self.remove,
        }

    async def listed(self, request: web.BaseRequest, _: tuple[str, ...]) -> web.StreamResponse:
        """A page of conflicts, and how many there are: `complete` is whether all were counted."""
        limit, offset = number(request, "limit", 50, 200), number(request, "offset", 0, _MOST, 0)
        async with self._turns.turn():
            uids, complete = await self._uids(offset + limit)
            page = uids[offset : offset + limit]
            conflicts = [_conflict(sides) async for sides in sides_of(self._index, DEFAULT_PARTITION, page)]
        following = offset + limit if len(uids) > offset + limit else None
        body = {"conflicts": conflicts, "count": len(uids), "complete": complete, "next": following}
        return await answer_json(request, body)

    async def _uids(self, least: int) -> tuple[list[str], bool]:
        """The UIDs in conflict; whether these are all. Counting ends after a while, but not before `least`."""
        uids: list[str] = []
        begun = asyncio.get_running_loop().time()
        async with aclosing(self._index.conflicts(DEFAULT_PARTITION)) as pages:  # type: ignore[type-var]
            async for page in pages:
                uids += page
                late = asyncio.get_running_loop().time() - begun > _COUNT_SECONDS
                if len(uids) >= _MOST or (late and len(uids) >= least):
                    return uids[:_MOST], False
        return uids, True

    async def show(self, request: web.BaseRequest, path: tuple[str, ...]) -> web.StreamResponse:
        """The sides of one SOP Instance UID; 404 if it has one object, or none."""
        async with self._turns.turn():
            return await answer_json(request, _conflict(await self._sides(path[0])))

    async def compare(self, request: web.BaseRequest, path: tuple[str, ...]) -> web.StreamResponse:
        """What differs between the receipts `one` and `other`, as they were received. 404, 409, 413."""
        sides = {side.receipt: side for side in await self._sides(path[0])}
        both = [sides.get(request.query.get(name, "")) for name in ("one", "other")]
        chosen = [side for side in both if side is not None]
        if len(chosen) < 2:
            raise HttpProblem(404, "one, other: two receipts of this instance")
        async with self._comparing.turn():
            with tempfile.TemporaryDirectory(prefix="gantry-compared-") as folder:
                files = [await self._fetched(side, Path(folder)) for side in chosen]
                compared = await compare_apart(*files)
        return await answer_json(request, {"one": chosen[0].receipt, "other": chosen[1].receipt, **asdict(compared)})

    async def _fetched(self, side: ConflictSide, folder: Path) -> Path:
        try:
            return await fetch(self._objects, side, folder, LARGEST)
        except NotFound:
            raise HttpProblem(409, f"the object of receipt {side.receipt} is missing") from None

    async def choose(self, request: web.BaseRequest, path: tuple[str, ...]) -> web.StreamResponse:
        """Make the object of `receipt` the current one: those with other bytes in its series are deleted. 200, or 202
        if it is not visible everywhere yet; 404, 409 under a hold."""
        requester = self._operators.deleter(request)
        done = choose(self._index, self._deletions, path[0], _receipt(await json_body(request)), requester)
        return await _decided(request, await _or_not_found(done))

    async def remove(self, request: web.BaseRequest, path: tuple[str, ...]) -> web.StreamResponse:
        """Delete the object of `receipt`, one of several with one UID. As `choose`."""
        requester = self._operators.deleter(request)
        done = give_up(self._index, self._deletions, path[0], _receipt(await json_body(request)), requester)
        return await _decided(request, await _or_not_found(done))

    async def _sides(self, uid: str) -> Sequence[ConflictSide]:
        if not is_uid(uid):
            raise HttpProblem(400, "the instance in the path is not a uid")
        async for conflict in sides_of(self._index, DEFAULT_PARTITION, [uid]):
            if in_conflict(conflict):
                return conflict
        raise HttpProblem(404, "not in conflict: no more than one object has this UID")


async def _or_not_found(work: Any) -> Done:
    try:
        done: Done = await work
    except NotFound as error:
        raise HttpProblem(404, str(error)) from error
    return done


async def _decided(request: web.BaseRequest, done: Done) -> web.StreamResponse:
    return await answer_json(request, {"deleted": done.receipts, "settled": done.settled}, 200 if done.settled else 202)


def _receipt(body: object) -> str:
    receipt = body.get("receipt") if isinstance(body, Mapping) else None
    if not isinstance(receipt, str) or not receipt:
        raise HttpProblem(400, "receipt: name one of this instance's")
    return receipt


def _conflict(sides: Sequence[ConflictSide]) -> dict[str, Any]:
    return {"sop_instance_uid": sides[0].sop_instance_uid, "sides": [asdict(side) for side in sides]}
