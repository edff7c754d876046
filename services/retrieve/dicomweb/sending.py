"""Sending studies to C-MOVE destinations on request of a web page, an extension to DICOMweb."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from gantry.common.dicom.model.json_writing import to_json
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import TooLarge
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.net import Peer
from gantry.common.ports.index import Location
from gantry.common.web.bodies import answer, body_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import JSON
from gantry.common.web.routes import BASE, Match, Resource
from gantry.common.web.server import Handler
from gantry.services.retrieve.corrections import as_stored
from gantry.services.retrieve.transfers import Transfer, Transfers
from gantry.services.retrieve.unindexed import Locating

_LONGEST_BODY = 4096
_STALL_SECONDS = 10.0
_FRESH = {"Cache-Control": "no-store"}
Titles = Callable[[], Sequence[str]]
"""The AE titles to which the current policy allows sending."""


class SendService:
    """Destinations, and transfers to them."""

    def __init__(
        self,
        transfers: Transfers,
        index: Locating,
        titles: Titles,
        peer_of: Callable[[str], Peer | None],
        gets_originals: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`peer_of` maps an AE title to its peer, None if nothing may be sent there; `gets_originals` says whether it
        gets objects without corrections."""
        self._gets_originals = gets_originals
        self._transfers = transfers
        self._index = index
        self._titles = titles
        self._peer_of = peer_of

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {
            Resource.DESTINATIONS: self.destinations,
            Resource.SEND: self.send,
            Resource.TRANSFER: self.transfer,
            Resource.CANCEL_TRANSFER: self.cancel,
        }

    async def destinations(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """The destinations to which a study may be sent."""
        receivers = [{"aeTitle": title, "description": ""} for title in sorted(self._titles())]
        return await answer(request, to_json(receivers), JSON, _FRESH)

    async def send(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """202 when the transfer has begun; 404 if the study or the destination is unknown."""
        title = _destination(await _body(request))
        peer = self._peer_of(title)
        if peer is None:
            raise HttpProblem(404, f"{title!a} is not a destination: the AE policy names those that are")
        locations = await self._locate(match.study)
        if self._gets_originals(title):
            locations = as_stored(locations)
        transfer = self._transfers.start(match.study, peer, locations)
        headers = {"Location": f"{BASE}/transfers/{transfer.id}", **_FRESH}
        return await answer(request, to_json({"id": transfer.id}), JSON, headers, 202)

    async def transfer(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """The progress of a transfer."""
        return await answer(request, to_json(self._known(match).as_json()), JSON, _FRESH)

    async def cancel(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Cancel a transfer, and report its state, or its outcome if it has ended already."""
        transfer = self._known(match)
        self._transfers.cancel(transfer)
        return await answer(request, to_json(transfer.as_json()), JSON, _FRESH)

    async def _locate(self, study: str) -> list[Location]:
        query = Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))})
        locations: list[Location] = []
        async for page in self._index.locate(query):
            locations += page
            if len(locations) > self._transfers.most_instances:
                raise TooLarge(f"more than {self._transfers.most_instances} instances in one transfer")
        if not locations:
            raise HttpProblem(404, "no such study")
        return locations

    def _known(self, match: Match) -> Transfer:
        transfer = self._transfers.get(match.rest[0]) if len(match.rest) == 1 else None
        if transfer is None:
            raise HttpProblem(404, "no such transfer here: the process that took it remembers it for an hour")
        return transfer


async def _body(request: web.BaseRequest) -> Any:
    # A form on another site cannot send this media type without a preflight request (Fetch 3.2.2).
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != JSON:
        raise HttpProblem(415, "the body must be application/json")
    body = b"".join([piece async for piece in body_of(request, _LONGEST_BODY, _STALL_SECONDS)])
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise HttpProblem(400, "the body is not json") from None


def _destination(body: Any) -> str:
    title = body.get("destination") if isinstance(body, dict) else None
    if not isinstance(title, str) or not 0 < len(title.strip()) <= 16:
        raise HttpProblem(400, 'the body must be {"destination": "AE TITLE"}')
    return title.strip()
