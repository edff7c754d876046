"""QIDO-RS (PS3.18 10.6): the same search as C-FIND, over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from gantry.common.dicom.model.json_writing import Attributes, keys_as_attributes, to_json
from gantry.common.dicom.model.xml_writing import to_xml
from gantry.common.dicom.query.matching import Document
from gantry.common.dicom.query.queries import creators_of
from gantry.common.dicom.query.timezones import in_zone
from gantry.common.dicom.standard.tags import (
    INSTANCE_AVAILABILITY,
    RETRIEVE_AE_TITLE,
    RETRIEVE_URL,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gantry.common.errors import NotUnderstood
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.availability import Availability
from gantry.common.web.bodies import answer
from gantry.common.web.capabilities import WADL, as_json, as_wadl
from gantry.common.web.errors import HttpProblem
from gantry.common.web.multipart import closing, content_type, part_head
from gantry.common.web.negotiation import DICOM_JSON, DICOM_XML, JSON, Offer, choose, is_known, parse_accept
from gantry.common.web.routes import BASE, Match, Resource
from gantry.common.web.server import TRACE, Handler
from gantry.common.web.urls import accept_of, base_url
from gantry.services.query.federation.asking import Federation
from gantry.services.query.matches import count_of, federated_page, page_of
from gantry.services.query.qido_parameters import MORE, QidoSearch, cursor_of, search_of

OFFERS = (Offer(DICOM_JSON), Offer(JSON), Offer(DICOM_XML, multipart=True))
_SIGHT = "it is for callers who see every study"
_BOUNDARY = "gantry-result"
"""Constant, so that equal results have equal ETags; no line of our XML begins with it."""


class SearchService:
    """The six resources of PS3.18 table 10.6.1-1, and the number of matches of each."""

    def __init__(
        self,
        index: ReadIndex,
        public_url: str | None,
        availability: Availability | None = None,
        federation: Federation | None = None,
    ) -> None:
        """`public_url` is the URL by which clients reach this server; None: the URL of each request. Without
        `availability` everything is in one store. `federation` has the archives that federated searches span."""
        self._federation = federation
        self._index = index
        self._availability = availability or Availability(index)
        self._public_url = public_url

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        searches = (Resource.SEARCH_STUDIES, Resource.SEARCH_SERIES, Resource.SEARCH_INSTANCES)
        return {**dict.fromkeys(searches, self.search), Resource.CAPABILITIES: self.capabilities}

    async def capabilities(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """The capabilities of all three web roles."""
        offer, _ = choose(parse_accept(accept_of(request)), (Offer(JSON), Offer(WADL)))
        if offer.type == JSON:
            return await answer(request, to_json(as_json()), JSON)
        return await answer(request, as_wadl(f"{base_url(request, self._public_url)}{BASE}"), WADL)

    async def search(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Any of the six searches."""
        search = search_of(match, list(request.query.items()), await self._index.attributes())
        if match.count:
            number = await count_of(self._index, search.query)
            return await answer(request, to_json({"count": number}), JSON, _warnings(search.warnings))
        offer, _ = choose(parse_accept(accept_of(request)), OFFERS)
        try:
            documents, more, others = await self._matches(request, search)
        except NotUnderstood:
            raise HttpProblem(400, "cursor is not of this search") from None
        search = replace(search, warnings=(*search.warnings, *others))
        url = f"{base_url(request, self._public_url)}{BASE}"
        words = await self._availability.of(search.query.level, documents)
        pairs = list(zip(documents, words, strict=True))
        # In a thread, so that thousands of matches do not hold up other requests.
        answers = await asyncio.to_thread(
            lambda: [self._attributes(document, word, search, url) for document, word in pairs]
        )
        headers = _warnings((*search.warnings, MORE) if more else search.warnings)
        if more and documents:
            after = search.offset + len(documents) if search.federated else 0
            headers["Link"] = f'<{_next(request, url, documents[-1], after)}>; rel="next"'
        return await _send_matches(request, answers, offer, headers)

    async def _matches(
        self, request: web.BaseRequest, search: QidoSearch
    ) -> tuple[list[Document], bool, tuple[str, ...]]:
        """The wanted matches, whether there are more, and warnings about other archives."""
        query = search.query
        if not search.federated:
            return *await page_of(self._index, query, search.limit, search.offset, search.after), ()
        if self._federation is None or not self._federation.is_on or not self._federation.is_seen:
            why = "no other archives are set up" if self._federation is None or not self._federation.is_on else _SIGHT
            return *await page_of(self._index, query, search.limit, search.offset), (f"federated was ignored: {why}.",)
        others = self._federation.begin(query, search.returned, request[TRACE], self._index)
        try:
            return *await federated_page(self._index, query, search.limit, search.offset, others), others.warnings
        finally:
            others.cancel()

    def _attributes(self, document: Document, availability: str, search: QidoSearch, url: str) -> Attributes:
        zone = search.query.zone
        attributes = in_zone(document.attributes, zone) if zone else document.attributes
        values: dict[int, Any] = {tag: attributes.get(tag, ()) for tag in search.returned}
        elsewhere = attributes.get(INSTANCE_AVAILABILITY)
        values[INSTANCE_AVAILABILITY] = elsewhere or ([availability] if availability else [])
        if not elsewhere:
            values[RETRIEVE_URL] = [url + _path(document)]
        if RETRIEVE_AE_TITLE in attributes:
            values[RETRIEVE_AE_TITLE] = attributes[RETRIEVE_AE_TITLE]
        table = search.query.attributes
        return keys_as_attributes(values | creators_of(values, table), table.vr_of)


def _path(document: Document) -> str:
    path = ""
    for name, tag in (
        ("studies", STUDY_INSTANCE_UID),
        ("series", SERIES_INSTANCE_UID),
        ("instances", SOP_INSTANCE_UID),
    ):
        uid = document.attributes.get(tag)
        if uid:
            path += f"/{name}/{uid[0]}"
    return path


def _next(request: web.BaseRequest, url: str, last: Document, after: int = 0) -> str:
    """The URL of the matches after the last one (RFC 8288)."""
    parameters = [(name, value) for name, value in request.query.items() if name not in ("cursor", "offset")]
    path = request.rel_url.raw_path[len(BASE) :]
    # Matches of other archives have no position in our index.
    place = ("offset", str(after)) if after else ("cursor", cursor_of(last.place))
    return f"{url}{path}?{urlencode([*parameters, place])}"


def _warnings(texts: tuple[str, ...]) -> dict[str, str]:
    """PS3.18 8.3.4.2, 8.3.4.4: where the answer deviates from the request."""
    return {"Warning": ", ".join(f'299 gantry "{text}"' for text in texts)} if texts else {}


async def _send_matches(
    request: web.BaseRequest, matches: list[Attributes], offer: Offer, headers: dict[str, str]
) -> web.StreamResponse:
    """The answer, or 304 if the client has it already."""
    if offer.multipart:
        if not matches:
            return web.Response(status=204, headers=headers)  # a multipart body needs at least one part
        body = await asyncio.to_thread(lambda: b"".join(_parts(matches)))
        media_type = content_type(_BOUNDARY, DICOM_XML)
    else:
        body = await asyncio.to_thread(to_json, matches)
        media_type = offer.type
    etag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers |= {"ETag": etag, "Cache-Control": "private, no-cache"}
    if is_known(request.headers, etag):
        return web.Response(status=304, headers=headers)
    return await answer(request, body, media_type, headers)


def _parts(matches: list[Attributes]) -> Iterator[bytes]:
    for number, attributes in enumerate(matches):
        yield part_head(_BOUNDARY, {"Content-Type": DICOM_XML}, first=not number)
        yield to_xml(attributes)
    yield closing(_BOUNDARY)
