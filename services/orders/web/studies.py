"""Studies of an order over HTTP: those that are linked to it, whatever their images contain.

GET    /dicom-web/orders/KEY/studies
POST   /dicom-web/orders/KEY/studies/1.2.3?reason=wrong+worklist+entry
DELETE /dicom-web/orders/KEY/studies/1.2.3?reason=it+was+the+right+one
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from aiohttp import web

from gantry.common.access import Verb
from gantry.common.dicom.model.json_writing import to_json
from gantry.common.errors import Conflicting, NotFound, NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION, is_uid
from gantry.common.orders import Order, Verdict
from gantry.common.ports.orders import OrderIndex
from gantry.common.web.bodies import answer
from gantry.common.web.callers import caller_of, may, reason_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import JSON
from gantry.common.web.routes import Match
from gantry.common.web.server import TRACE
from gantry.services.orders.linking import StudyLinking
from gantry.services.orders.web.documents import links_document
from gantry.services.requester import Requester

_FRESH = {"Cache-Control": "no-store"}
_Change = Callable[[str, str, Requester, str], Awaitable[Verdict[Order]]]


class LinkedStudies:
    """Every caller may read them; changes require both `http.may_order` and `http.may_correct`, since the study is
    corrected, too."""

    def __init__(
        self, linking: StudyLinking, orders: OrderIndex, may_order: Collection[str], may_correct: Collection[str]
    ) -> None:
        """`may_order` and `may_correct` are the names of tokens, and `LOOPBACK`."""
        self._linking = linking
        self._orders = orders
        self._may = {Verb.ORDER: frozenset(may_order), Verb.CORRECT: frozenset(may_correct)}

    async def listed(self, request: web.BaseRequest, key: str) -> web.StreamResponse:
        """The studies of an order. 404."""
        record = await self._orders.order(DEFAULT_PARTITION, key)
        if record is None:
            raise NotFound
        return await answer(request, to_json(links_document(record[0])), JSON, _FRESH)

    async def link(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """201 with the studies of the order. 400, 403, 404, 409."""
        return await self._changed(request, match, self._linking.link, 201)

    async def unlink(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """200 with the studies that are left. 400, 403, 404, 409."""
        return await self._changed(request, match, self._linking.unlink, 200)

    async def _changed(
        self, request: web.BaseRequest, match: Match, change: _Change, status: int
    ) -> web.StreamResponse:
        key, study = _about(match)
        caller, reason = caller_of(request), reason_of(request)
        if not all(may(request, verb, names) for verb, names in self._may.items()):
            raise HttpProblem(403, "this caller may not link studies; http.may_order and http.may_correct name who may")
        if not reason:
            raise HttpProblem(400, "reason: say why, as a parameter of the URL")
        requester = Requester(caller, reason, request[TRACE])
        try:
            verdict = await change(key, study, requester, f"rest {caller}")
        except NotUnderstood as error:
            raise HttpProblem(400, str(error)) from error
        except NotFound as error:
            raise HttpProblem(404, str(error)) from error
        if verdict.state is None:
            raise Conflicting(verdict.reason)
        return await answer(request, to_json(links_document(verdict.state)), JSON, _FRESH, status)


def _about(match: Match) -> tuple[str, str]:
    """The key of an order, and a study."""
    if len(match.rest) != 3 or match.rest[1] != "studies":
        raise NotFound
    if not is_uid(match.rest[2]):
        raise HttpProblem(400, "not the UID of a study")
    return match.rest[0], match.rest[2]
