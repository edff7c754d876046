"""UPS-RS (PS3.18 11): create, retrieve, update, change state, request cancellation, search."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from urllib.parse import urlencode

from aiohttp import web

from gantry.common.access import Verb
from gantry.common.dicom.model.json_writing import Attributes as Document
from gantry.common.dicom.model.json_writing import to_json
from gantry.common.dicom.model.xml_writing import to_xml
from gantry.common.dicom.standard.tags import SOP_INSTANCE_UID
from gantry.common.errors import NotFound, NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION, is_uid, new_uid
from gantry.common.orders import first
from gantry.common.ports.orders import OrderIndex
from gantry.common.web.bodies import answer
from gantry.common.web.callers import caller_of, may, reason_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.json_bodies import data_set_body
from gantry.common.web.multipart import closing, content_type, part_head
from gantry.common.web.negotiation import DICOM_JSON, DICOM_XML, JSON, Offer, choose, parse_accept
from gantry.common.web.routes import BASE, Match, Resource
from gantry.common.web.server import TRACE, Handler
from gantry.common.web.urls import accept_of, base_url
from gantry.common.workitems import Workitem, WorkitemState
from gantry.common.workitems.model import PROCEDURE_STEP_STATE, TRANSACTION_UID, Attributes
from gantry.services.orders.workitems.answers import GONE, answered, warning
from gantry.services.orders.workitems.desk import Asker, WorkitemDesk
from gantry.services.orders.workitems.documents import attributes_in, count_of_values, document_of, workitem_path
from gantry.services.orders.workitems.parameters import MORE, WorkitemSearch, uid_in, workitem_search

_OFFERS = (Offer(DICOM_JSON), Offer(JSON), Offer(DICOM_XML))
_SEARCH_OFFERS = (Offer(DICOM_JSON), Offer(JSON), Offer(DICOM_XML, multipart=True))
_BOUNDARY = "gantry-workitem"
"""No line of our XML begins with it."""
_LONGEST_BODY = 4 << 20
_MOST_VALUES = 100_000
"""Most values in one answer, about 10 MB; the first workitem is always included, and may name thousands of
instances."""
_FRESH = {"Cache-Control": "no-store"}
_NEW_UID = ("workitem", "AffectedSOPInstanceUID")
_TRANSACTION = ("transaction-uid", "transaction", "TransactionUID")


class WorkitemResource:
    """Callers that see everything may read workitems; those in `http.may_order` may write them."""

    def __init__(
        self,
        desk: WorkitemDesk,
        orders: OrderIndex,
        may_order: Collection[str],
        may_delete: Collection[str],
        public_url: str | None,
    ) -> None:
        """`may_order` and `may_delete` are the names of tokens, and `LOOPBACK`; erasing requires both. `public_url` is
        the URL by which clients reach this server; None: the URL of each request."""
        self._desk = desk
        self._orders = orders
        self._may_order = frozenset(may_order)
        self._may_delete = frozenset(may_delete)
        self._public_url = public_url

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {
            Resource.SEARCH_WORKITEMS: self.search,
            Resource.CREATE_WORKITEM: self.create,
            Resource.WORKITEM: self.retrieve,
            Resource.CHANGE_WORKITEM: self.change,
            Resource.WORKITEM_STATE: self.change_state,
            Resource.ERASE_WORKITEM: self.erase,
        }

    async def search(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """PS3.18 11.9: 200 with all matches, 206 with some of them, 204 if there are none. 400."""
        offer, _ = choose(parse_accept(accept_of(request)), _SEARCH_OFFERS)
        search = workitem_search(request.query.items())
        workitems, more = await self._matches(search)
        headers = {**_FRESH, **warning((*search.warnings, MORE) if more else search.warnings)}
        if not workitems:
            return web.Response(status=204, headers=headers)
        if more:
            headers["Link"] = f'<{self._next(request, search.offset + len(workitems))}>; rel="next"'
        documents = [document_of(workitem, self._url(request, workitem.uid)) for workitem in workitems]
        status = 206 if more else 200
        if not offer.multipart:
            return await answer(request, to_json(documents), offer.type, headers, status)
        body = b"".join(_parts(documents))
        return await answer(request, body, content_type(_BOUNDARY, DICOM_XML), headers, status)

    async def create(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """PS3.18 11.4: 201 with the URL of the workitem. 400, 403, 409."""
        asker = self._asker(request)
        attributes = await _attributes(request)
        uid = uid_in(request.query.items(), _NEW_UID) or first(attributes, SOP_INSTANCE_UID) or new_uid()
        headers = answered(await self._desk.create(uid, attributes, asker))
        url = self._url(request, uid)
        return web.Response(status=201, headers={**_FRESH, **headers, "Location": url, "Content-Location": url})

    async def retrieve(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """PS3.18 11.5: 200 with the workitem, never with its Transaction UID. 404, 410."""
        (uid,) = _path(match, 1)
        offer, _ = choose(parse_accept(accept_of(request)), _OFFERS)
        workitem = await self._standing(uid)
        headers = {**_FRESH, "Content-Location": self._url(request, uid)}
        document = document_of(workitem)
        body = to_xml(document) if offer.type == DICOM_XML else to_json([document])
        return await answer(request, body, offer.type, headers)

    async def change(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """PS3.18 11.6 and 11.8: 200 when it is updated, 202 when its cancellation is requested. 400, 403, 404, 409,
        410."""
        asker = self._asker(request)
        if match.rest[1:] == ("cancelrequest",):
            return await self._request_cancel(request, match.rest[0], asker)
        (uid,) = _path(match, 1)
        attributes = await _attributes(request)
        transaction_uid = uid_in(request.query.items(), _TRANSACTION) or first(attributes, TRANSACTION_UID)
        headers = answered(await self._desk.set(uid, attributes, transaction_uid, asker), updating=True)
        return web.Response(headers={**_FRESH, **headers, "Content-Location": self._url(request, uid)})

    async def change_state(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """PS3.18 11.7: 200 when the state is changed. 400, 403, 404, 409, 410."""
        asker = self._asker(request)
        uid, word = _path(match, 2)
        if word != "state":
            raise NotFound
        attributes = await _attributes(request)
        state, transaction_uid = first(attributes, PROCEDURE_STEP_STATE), first(attributes, TRANSACTION_UID)
        # PS3.18 11.7.1.4 spells the state with two Ls, PS3.3 with one.
        state = WorkitemState.CANCELED if state == "CANCELLED" else state
        headers = answered(await self._desk.change_state(uid, state, transaction_uid, asker))
        return web.Response(headers={**_FRESH, **headers, "Content-Location": self._url(request, uid)})

    async def erase(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """An extension: 204, and all data of the workitem is erased. 400, 403, 404, 409 while it is being performed,
        410."""
        asker = self._asker(request)
        if not may(request, Verb.DELETE, self._may_delete):
            raise HttpProblem(403, "this caller may not erase; http.may_order and http.may_delete name who may")
        (uid,) = _path(match, 1)
        reason = reason_of(request)
        if not reason:
            raise HttpProblem(400, "reason: say why, as a parameter of the URL")
        even = request.query.get("even_in_progress") == "true"
        if (await self._standing(uid)).state is WorkitemState.IN_PROGRESS and not even:
            raise HttpProblem(
                409, "the workitem is being performed; with even_in_progress=true it is erased all the same"
            )
        await self._desk.erase(uid, reason, asker)
        return web.Response(status=204)

    async def _request_cancel(self, request: web.BaseRequest, uid: str, asker: Asker) -> web.StreamResponse:
        _require_uid(uid)
        # The body is optional (PS3.18 11.8.1.4).
        attributes = await _attributes(request) if request.can_read_body else {}
        headers = answered(await self._desk.request_cancel(uid, attributes, asker))
        return web.Response(status=202, headers={**_FRESH, **headers})

    async def _standing(self, uid: str) -> Workitem:
        workitem = await self._orders.workitem(DEFAULT_PARTITION, uid)
        if workitem is None:
            if await self._orders.is_erased_workitem(DEFAULT_PARTITION, uid):
                raise HttpProblem(410, GONE)
            raise NotFound
        return workitem

    async def _matches(self, search: WorkitemSearch) -> tuple[list[Workitem], bool]:
        """The wanted part of the matches, or as much of it as fits into an answer, and whether there are more."""
        workitems: list[Workitem] = []
        passed = size = 0
        if not search.limit:
            return [], False
        async for page in self._orders.find_workitems(search.query):
            for workitem in page:
                passed += 1
                if passed <= search.offset:
                    continue
                size += count_of_values(workitem.attributes)
                if len(workitems) == search.limit or (workitems and size > _MOST_VALUES):
                    return workitems, True
                workitems.append(workitem)
        return workitems, False

    def _url(self, request: web.BaseRequest, uid: str) -> str:
        return f"{base_url(request, self._public_url)}{workitem_path(uid)}"

    def _next(self, request: web.BaseRequest, offset: int) -> str:
        parameters = [(name, value) for name, value in request.query.items() if name != "offset"]
        query = urlencode([*parameters, ("offset", str(offset))])
        return f"{base_url(request, self._public_url)}{BASE}/workitems?{query}"

    def _asker(self, request: web.BaseRequest) -> Asker:
        if not may(request, Verb.ORDER, self._may_order):
            raise HttpProblem(403, "this caller may not change workitems; http.may_order names those that may")
        return Asker(f"rest {caller_of(request)}", request[TRACE])


def _parts(documents: Sequence[Document]) -> Iterator[bytes]:
    for number, document in enumerate(documents):
        yield part_head(_BOUNDARY, {"Content-Type": DICOM_XML}, first=not number)
        yield to_xml(document)
    yield closing(_BOUNDARY)


async def _attributes(request: web.BaseRequest) -> Attributes:
    body = await data_set_body(request, _LONGEST_BODY)
    try:
        return attributes_in(body)
    except NotUnderstood as error:
        raise HttpProblem(400, str(error)) from error


def _path(match: Match, parts: int) -> tuple[str, ...]:
    """The parts below `workitems`, the first of which is a UID. Raises `NotFound`, `HttpProblem` 400."""
    if len(match.rest) != parts:
        raise NotFound
    _require_uid(match.rest[0])
    return match.rest


def _require_uid(uid: str) -> None:
    if not is_uid(uid):
        raise HttpProblem(400, "the workitem in the path is not a uid")
