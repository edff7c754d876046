"""The quarantine over HTTP, an extension to DICOMweb.

GET  /dicom-web/hl7/quarantine[?state=all]
GET  /dicom-web/hl7/quarantine/ID
POST /dicom-web/hl7/quarantine/ID/replay                  with the repaired message as application/hl7-v2, or none
POST /dicom-web/hl7/quarantine/ID/discard?reason=…
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import asdict

from aiohttp import web

from gantry.common.access import Verb
from gantry.common.clock import Clock
from gantry.common.dicom.model.json_writing import to_json
from gantry.common.errors import NotFound
from gantry.common.events import MessageDiscarded
from gantry.common.hl7.answers import answer_in
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.log import EventLog
from gantry.common.web.bodies import answer, body_of
from gantry.common.web.callers import caller_of, may, reason_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import JSON
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import TRACE, Handler
from gantry.services.orders.hl7.correspondence import Correspondence, read_ledger
from gantry.services.orders.hl7.ledger import MessageLedger, Quarantined

HL7 = "application/hl7-v2"
_FRESH = {"Cache-Control": "no-store"}
_LONGEST_BODY = 4 << 20
_STALL_SECONDS = 30.0


class QuarantineResource:
    """Messages name patients: only callers in `http.may_operate` see them, and decide."""

    def __init__(
        self,
        log: EventLog,
        handle: Callable[[bytes], Awaitable[bytes]],
        correspondence: Correspondence,
        clock: Clock,
        may_operate: Collection[str],
    ) -> None:
        self._log = log
        self._handle = handle
        self._correspondence = correspondence
        self._clock = clock
        self._may_operate = frozenset(may_operate)

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {Resource.MESSAGES: self.show, Resource.DECIDE_MESSAGE: self.decide}

    async def show(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """The open messages, the oldest first, or with `state=all` all that the log has; or one with its text. 403,
        404."""
        self._operator(request)
        ledger = await read_ledger(self._log)
        if match.rest == ("quarantine",):
            state = request.query.get("state", "open")
            if state not in ("open", "all"):
                raise HttpProblem(400, "state: open or all")
            listed = ledger.all() if state == "all" else ledger.open()
            return await answer(request, to_json([asdict(message) for message in listed]), JSON, _FRESH)
        message = _named(ledger, match.rest)
        text = ledger.text(message.id).decode("latin-1")
        return await answer(request, to_json({**asdict(message), "text": text}), JSON, _FRESH)

    async def decide(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """`replay`: 200 with the code and the problems of the answer; a message that cannot be applied is in quarantine
        again. `discard`: 200. 400, 403, 404."""
        caller = self._operator(request)
        ledger = await read_ledger(self._log)
        if len(match.rest) != 3 or match.rest[2] not in ("replay", "discard"):
            raise HttpProblem(404, "no such resource")
        message = _named(ledger, match.rest[:2])
        if match.rest[2] == "replay":
            body = b"".join([piece async for piece in body_of(request, _LONGEST_BODY, _STALL_SECONDS)])
            if body and request.content_type != HL7:
                raise HttpProblem(415, f"the body is a message, as {HL7}")
            reply = answer_in(await self._handle(body or ledger.text(message.id)))
            return await answer(request, to_json(asdict(reply)), JSON, _FRESH)
        reason = reason_of(request)
        if not reason:
            raise HttpProblem(400, "reason: say why, as a parameter of the URL")
        identity = message.source, message.control_id, ledger.digest(message.id)
        event = MessageDiscarded(DEFAULT_PARTITION, request[TRACE], *identity, reason, caller, self._clock.now_us())
        await self._correspondence.note(event)
        return await answer(request, to_json({"discarded": message.id}), JSON, _FRESH)

    def _operator(self, request: web.BaseRequest) -> str:
        if not may(request, Verb.OPERATE, self._may_operate):
            raise HttpProblem(403, "this caller may not look at messages; http.may_operate names those that may")
        return caller_of(request)


def _named(ledger: MessageLedger, path: tuple[str, ...]) -> Quarantined:
    if len(path) != 2 or path[0] != "quarantine":
        raise HttpProblem(404, "no such resource")
    try:
        return ledger.named(path[1])
    except NotFound as error:
        raise HttpProblem(404, str(error)) from error
