"""The resource of orders, an extension to DICOMweb.

POST   /dicom-web/orders
GET    /dicom-web/orders?PatientID=4711&state=SCHEDULED
GET    /dicom-web/orders/KEY
PATCH  /dicom-web/orders/KEY
DELETE /dicom-web/orders/KEY?reason=patient+did+not+come&step=S1
DELETE /dicom-web/orders/KEY?erase=true&reason=the+law
GET    /dicom-web/orders/KEY/history
GET    /dicom-web/orders/KEY/performed
GET    /dicom-web/orders/KEY/report
GET    /dicom-web/orders/KEY/studies (and its methods: `gantry.services.orders.web.studies`)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from aiohttp import web

from gantry.common.access import Verb
from gantry.common.dicom.model.json_writing import to_json
from gantry.common.errors import Conflicting, NotFound, NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION, new_uid
from gantry.common.orders import (
    Order,
    OrderCancellation,
    OrderChange,
    PlacedOrder,
    StepState,
    Verdict,
    order_key,
)
from gantry.common.ports.orders import OrderIndex
from gantry.common.web.bodies import answer
from gantry.common.web.callers import caller_of, may, reason_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.json_bodies import data_set, json_body
from gantry.common.web.negotiation import DICOM_JSON, JSON
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import TRACE, Handler
from gantry.services.orders.desk import OrderDesk
from gantry.services.orders.erasing import OrderErasing
from gantry.services.orders.web.documents import (
    changed_attributes,
    document_of,
    entry_of,
    order_url,
    performed_document,
    placed_attributes,
    report_document,
)
from gantry.services.orders.web.parameters import OrderSearch, order_search
from gantry.services.orders.web.studies import LinkedStudies

_FRESH = {"Cache-Control": "no-store"}
_NO_KEY = "an order needs an AccessionNumber, a FillerOrderNumberImagingServiceRequest or a RequestedProcedureID"


class OrderResource:
    """Every caller may read orders; those in `http.may_order` may write them."""

    def __init__(
        self,
        desk: OrderDesk,
        orders: OrderIndex,
        studies: LinkedStudies,
        erasing: OrderErasing,
        may_order: Collection[str],
        may_delete: Collection[str],
    ) -> None:
        """`may_order` and `may_delete` are the names of tokens, and `LOOPBACK`; erasing requires both."""
        self._erasing = erasing
        self._may_delete = frozenset(may_delete)
        self._studies = studies
        self._desk = desk
        self._orders = orders
        self._may_order = frozenset(may_order)

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {
            Resource.SEARCH_ORDERS: self.search,
            Resource.PLACE_ORDER: self.place,
            Resource.ORDER: self.show,
            Resource.CHANGE_ORDER: self.change,
            Resource.CANCEL_ORDER: self.cancel,
            Resource.LINK_STUDY: self._studies.link,
        }

    async def search(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Orders that have a step that matches, by the start of that step. 400."""
        keys = await self._keys(order_search(request.query.items()))
        orders = [order for key in keys if (order := await self._orders.order(DEFAULT_PARTITION, key)) is not None]
        return await answer(request, to_json([document_of(*order) for order in orders]), DICOM_JSON, _FRESH)

    async def place(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """201 with the order; an earlier one with its key is replaced. 400, 403, 409."""
        source = self._source(request)
        body = data_set(await json_body(request))
        with _callers_fault():
            attributes = placed_attributes(body, new_uid)
        key = order_key(attributes)
        if not key:
            raise HttpProblem(400, _NO_KEY)
        verdict = await self._desk.place(PlacedOrder(key, attributes, source, trace=request[TRACE]))
        return await self._answer(request, verdict, 201)

    async def show(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """An order, its history, its studies, its report, or the procedure steps that were performed for it. 404."""
        if match.rest[1:] == ("studies",):
            return await self._studies.listed(request, match.rest[0])
        if match.rest[1:] == ("history",):
            history = await self._orders.history(DEFAULT_PARTITION, match.rest[0])
            if not history:
                raise NotFound
            return await answer(request, to_json([entry_of(change) for change in history]), JSON, _FRESH)
        key = match.rest[0] if match.rest[1:] in (("performed",), ("report",)) else _key(match)
        order = await self._orders.order(DEFAULT_PARTITION, key)
        if order is None:
            raise NotFound
        if match.rest[1:] == ("report",):
            if order[0].report is None:
                raise NotFound
            return await answer(request, to_json(report_document(order[0].report)), JSON, _FRESH)
        if len(match.rest) > 1:
            performed = await self._orders.performed_of(DEFAULT_PARTITION, key)
            return await answer(request, to_json([performed_document(step) for step in performed]), DICOM_JSON, _FRESH)
        return await answer(request, to_json([document_of(*order)]), DICOM_JSON, _FRESH)

    async def change(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """200 with the changed order. 400, 403, 404, 409."""
        source = self._source(request)
        key = await self._existing(match)
        body = data_set(await json_body(request))
        with _callers_fault():
            attributes, steps = changed_attributes(body)
        if not attributes and not steps:
            raise HttpProblem(400, "nothing to change: give at least one attribute")
        verdict = await self._desk.change(OrderChange(key, attributes, source, steps, trace=request[TRACE]))
        return await self._answer(request, verdict, 200)

    async def cancel(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """200 with the cancelled order; for one of its studies, the study is unlinked; with `erase=true` 204, and the
        order is erased. 400, 403, 404, 409."""
        if match.rest[1:2] == ("studies",):
            return await self._studies.unlink(request, match)
        source = self._source(request)
        reason = reason_of(request)
        if not reason:
            raise HttpProblem(400, "reason: say why, as a parameter of the URL")
        if request.query.get("erase") == "true":
            return await self._erase(request, _key(match), source, reason)
        key, steps = await self._existing(match), tuple(request.query.getall("step", []))
        cancellation = OrderCancellation(key, source, steps, reason, trace=request[TRACE])
        return await self._answer(request, await self._desk.cancel(cancellation), 200)

    async def _erase(self, request: web.BaseRequest, key: str, source: str, reason: str) -> web.StreamResponse:
        if not may(request, Verb.DELETE, self._may_delete):
            raise HttpProblem(403, "this caller may not erase orders; http.may_order and http.may_delete name who may")
        if request.query.getall("step", []):
            raise HttpProblem(400, "step: an order is erased as a whole")
        await self._erasing.erase(key, source, reason, request[TRACE])
        return web.Response(status=204)

    async def _answer(self, request: web.BaseRequest, verdict: Verdict[Order], status: int) -> web.StreamResponse:
        if not verdict.accepted or verdict.state is None:
            raise Conflicting(verdict.reason)
        order = verdict.state
        current = await self._orders.order(order.partition, order.key)
        states: Mapping[str, StepState] = {} if current is None else current[1]
        headers = {**_FRESH, "Location": order_url(order.key)}
        return await answer(request, to_json([document_of(order, states)]), DICOM_JSON, headers, status)

    async def _keys(self, search: OrderSearch) -> list[str]:
        """The keys of the orders that are wanted, each once."""
        wanted = search.offset + search.limit
        keys: dict[str, None] = {}
        if search.limit:
            async for page in self._orders.find(search.query):
                keys.update(dict.fromkeys(step.order for step in page))
                if len(keys) >= wanted:
                    break
        return list(keys)[search.offset : wanted]

    async def _existing(self, match: Match) -> str:
        key = _key(match)
        if await self._orders.order(DEFAULT_PARTITION, key) is None:
            raise NotFound
        return key

    def _source(self, request: web.BaseRequest) -> str:
        if not may(request, Verb.ORDER, self._may_order):
            raise HttpProblem(403, "this caller may not change orders; http.may_order names those that may")
        return f"rest {caller_of(request)}"


def _key(match: Match) -> str:
    if len(match.rest) != 1:
        raise NotFound
    return match.rest[0]


@contextmanager
def _callers_fault() -> Iterator[None]:
    """What is wrong with a document is the caller's fault."""
    try:
        yield
    except NotUnderstood as error:
        raise HttpProblem(400, str(error)) from error
