"""Read and search of ServiceRequest, the orders in FHIR R4 (docs/fhir.md)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from gantry.common.dicom.standard.tags import SCHEDULED_PROCEDURE_STEP_SEQUENCE
from gantry.common.fhir.identifiers import Systems, order_of
from gantry.common.fhir.order_searches import FhirOrderSearch, order_search_of
from gantry.common.fhir.resources import Resource as FhirResource
from gantry.common.fhir.service_requests import service_request, status_of
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.orders import Order, StepState
from gantry.common.orders.questions import StepQuery
from gantry.common.ports.orders import OrderIndex
from gantry.common.web.errors import HttpProblem
from gantry.common.web.fhir_answers import Body, answered, base_of, check_format, is_strict, link
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import Handler
from gantry.common.web.urls import base_url

KIND = "ServiceRequest"
_STATES: Mapping[str, frozenset[StepState]] = {
    "active": frozenset(StepState) - {StepState.COMPLETED, StepState.CANCELLED, StepState.DISCONTINUED},
    "completed": frozenset((StepState.COMPLETED, StepState.DEPARTED)),
    "revoked": frozenset((StepState.CANCELLED, StepState.DISCONTINUED)),
}
"""The states for each status: one of them must be the order's, if it has steps."""


class ServiceRequests:
    """The handler of `Resource.FHIR_ORDERS`."""

    def __init__(self, orders: OrderIndex, public_url: str | None, systems: Systems) -> None:
        self._orders = orders
        self._public_url = public_url
        self._systems = systems

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {Resource.FHIR_ORDERS: self.handle}

    async def handle(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Answer with a ServiceRequest by its id, or with the matches of a search."""
        return await answered(request, self._answer(request, match))

    async def _answer(self, request: web.BaseRequest, match: Match) -> Body:
        check_format(request)
        if len(match.rest) > 2:
            raise HttpProblem(404, f"no such resource: below {KIND} there are ids")
        if len(match.rest) == 2:
            key = order_of(match.rest[1])
            record = await self._orders.order(DEFAULT_PARTITION, key) if key else None
            made = self._made(*record) if record is not None else None
            if made is None:
                raise HttpProblem(404, f"there is no such {KIND}")
            return made
        search = order_search_of(list(request.query.items()), self._systems, strict=is_strict(request))
        return await self._search(search, f"{base_url(request, self._public_url)}{base_of(request)}/{KIND}")

    async def _search(self, search: FhirOrderSearch, url: str) -> Body:
        bundle: Body = {"resourceType": "Bundle", "type": "searchset", "link": [link("self", url, search.used)]}
        entries: list[Body] = []
        passed = 0
        async for order, states in self._candidates(search):
            made = self._made(order, states)
            if made is None or made["status"] not in search.statuses:
                continue
            passed += 1
            if passed <= search.offset:
                continue
            if len(entries) == search.count:
                parameters = [(name, value) for name, value in search.used if name != "_cursor"]
                place = str(search.offset + search.count)
                bundle["link"].append(link("next", url, [*parameters, ("_cursor", place)]))
                break
            entries.append({"fullUrl": f"{url}/{made['id']}", "resource": made, "search": {"mode": "match"}})
        if entries:
            bundle["entry"] = entries
        return bundle

    async def _candidates(self, search: FhirOrderSearch) -> AsyncIterator[tuple[Order, Mapping[str, StepState]]]:
        """Orders that may match the search, each once."""
        if search.nothing or not search.count:
            return
        if search.keys is not None and not (search.conditions or search.numbers):
            for key in search.keys:
                record = await self._orders.order(DEFAULT_PARTITION, key)
                if record is not None:
                    yield record
            return
        seen: set[str] = set()
        whole = SCHEDULED_PROCEDURE_STEP_SEQUENCE not in search.conditions
        states = frozenset().union(*(_STATES[status] for status in search.statuses))
        for conditions in search.alternatives:
            async for page in self._orders.find(StepQuery(DEFAULT_PARTITION, conditions, states, orders=whole)):
                for key in dict.fromkeys(step.order for step in page):
                    if key in seen or (search.keys is not None and key not in search.keys):
                        continue
                    seen.add(key)
                    record = await self._orders.order(DEFAULT_PARTITION, key)
                    if record is not None:
                        yield record

    def _made(self, order: Order, states: Mapping[str, StepState]) -> FhirResource | None:
        status = status_of([state.value for state in states.values()], cancelled=order.cancelled)
        return service_request(order.whole, order.key, status, self._systems)
