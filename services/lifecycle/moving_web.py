"""Moving series and instances to another study over HTTP: extensions to DICOMweb.

POST   /dicom-web/studies/1.2.3[/series/…[/instances/…]]/moves?reason=…    {"into": "1.2.4"} or {"into": "new"}
DELETE /dicom-web/studies/1.2.3/moves[/MOVE]?reason=…
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aiohttp import web

from gantry.common.dicom.model.json_writing import to_json
from gantry.common.errors import NotFound, NotUnderstood
from gantry.common.ids import is_uid
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.web.bodies import answer
from gantry.common.web.errors import HttpProblem
from gantry.common.web.json_bodies import data_set, json_body
from gantry.common.web.negotiation import JSON
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import Handler
from gantry.services.lifecycle.callers import corrector_of
from gantry.services.lifecycle.deletions import DeletionTarget
from gantry.services.lifecycle.moves import Moved, MoveDesk

_FRESH = {"Cache-Control": "no-store"}
_MOST = 10_000
"""Most series or instances of one request."""


class MoveService:
    """Moves, and their withdrawal."""

    def __init__(self, desk: MoveDesk, may_correct: Collection[str]) -> None:
        """`may_correct` are the names of tokens, and `LOOPBACK`."""
        self._desk = desk
        self._may_correct = frozenset(may_correct)

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {Resource.MOVE: self.move, Resource.MOVE_BACK: self.move_back}

    async def move(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """200 with the names of the moves when they are visible everywhere, 202 when they will be. `into` in the body
        is a Study Instance UID, or "new"; `series` or `instances` names some of those in the path; `values` are
        attributes of a new study. 400, 403, 404; 409 under a hold, or if the other study has one of the instances."""
        requester = corrector_of(request, self._may_correct)
        body = await json_body(request)
        if not isinstance(body, Mapping) or not isinstance(body.get("into"), str):
            raise HttpProblem(400, 'into: name a Study Instance UID, or "new"')
        values = data_set(body["values"]) if body.get("values") else None
        return await _answer(request, self._desk.move(_targets(match, body), body["into"], requester, values))

    async def move_back(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """200 or 202 when the move is withdrawn, or all of the last request if none is named; 404 if there is none; 409
        if the instances were deleted or moved on since."""
        requester = corrector_of(request, self._may_correct)
        if len(match.rest) > 1:
            raise HttpProblem(404, "no such move")
        return await _answer(request, self._desk.move_back(match.study, requester, *match.rest))


def _targets(match: Match, body: Mapping[str, Any]) -> list[DeletionTarget]:
    series, instances = (_uids(body, name) for name in ("series", "instances"))
    if (series and (instances or match.series)) or (instances and (match.instance or not match.series)):
        raise HttpProblem(400, "series: of a study in the path; instances: of a series in the path")
    if series:
        return [DeletionTarget(match.study, uid) for uid in series]
    if instances:
        return [DeletionTarget(match.study, match.series, uid) for uid in instances]
    return [DeletionTarget(match.study, match.series, match.instance)]


def _uids(body: Mapping[str, Any], name: str) -> list[str]:
    uids = body.get(name, [])
    if not isinstance(uids, list) or len(uids) > _MOST or not all(isinstance(uid, str) and is_uid(uid) for uid in uids):
        raise HttpProblem(400, f"{name}: a list of at most {_MOST} UIDs")
    return uids


async def _answer(request: web.BaseRequest, work: Any) -> web.StreamResponse:
    try:
        moved: Moved = await work
    except NotUnderstood as error:
        raise HttpProblem(400, str(error)) from error
    except NotFound as error:
        raise HttpProblem(404, str(error)) from error
    await reach(FailPoint.BEFORE_ANSWER)
    return await answer(request, to_json(as_json(moved)), JSON, _FRESH, 200 if moved.settled else 202)


def as_json(moved: Moved) -> dict[str, Any]:
    """As it is shown."""
    moves = [
        {"move": series.move, "series": series.series, "intoSeries": series.into_series, "receipts": series.receipts}
        for series in moved.series
    ]
    return {"into": moved.into, "moves": moves, "settled": moved.settled}
