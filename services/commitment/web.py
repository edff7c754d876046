"""Storage commitment over HTTP (PS3.18 13): a request is published, checked, and answered; its result can be asked for.

POST /dicom-web/commitment-requests/{Transaction UID}     200 with the result, or 202: ask for it later
GET  /dicom-web/commitment-requests/{Transaction UID}     the same
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from gantry.common.clock import Clock
from gantry.common.config.role_sections import Commitment
from gantry.common.dicom.model.json_writing import to_json
from gantry.common.dicom.model.xml_writing import to_xml
from gantry.common.errors import GantryError, NotUnderstood, TooLarge
from gantry.common.events import CommitmentReference, CommitmentRequested
from gantry.common.ids import DEFAULT_PARTITION, is_uid
from gantry.common.ports.log import EventLog
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.bodies import answer, body_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import DICOM_JSON, DICOM_XML, JSON, Offer, choose, parse_accept, parse_content_type
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import CALLER, TRACE, Handler
from gantry.common.web.urls import accept_of
from gantry.services.commitment.payloads import references_of, response_of
from gantry.services.commitment.results import CommitmentResult, Results
from gantry.services.commitment.taking import Takers
from gantry.services.commitment.transactions import TransactionLedger

ANSWERS = (Offer(DICOM_JSON), Offer(JSON), Offer(DICOM_XML))
LOOPBACK = "loopback"
"""Recorded in place of the calling AE title if the caller is on this machine and has no token, as by STOW-RS."""
_BYTES_PER_REFERENCE = 1024
"""Upper bound for a reference in JSON or XML, with white space."""
MOST_REFERENCES = 50_000
"""Per request over HTTP: JSON and XML take more time and memory to read than a data set does."""
MOST_HELD = 128 << 20
"""Bytes of bodies in memory, of all requests together; beyond it 503."""
_ANSWER_SECONDS = 10.0
"""A request is answered with its result if that is there so soon."""
_AGAIN_SECONDS = 5
_FRESH = {"Cache-Control": "no-store"}


class CommitmentRequests:
    """The handlers of `Resource.COMMITMENT` and `Resource.COMMITMENT_RESULT`."""

    def __init__(
        self,
        ledger: TransactionLedger,
        takers: Takers,
        results: Results,
        refresh: Callable[[], Awaitable[None]],
        log: EventLog,
        clock: Clock,
        metrics: Metrics,
        settings: Commitment,
        stall: float,
    ) -> None:
        """`refresh` brings the ledger up to date with what other processes took."""
        self._ledger = ledger
        self._takers = takers
        self._results = results
        self._refresh = refresh
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._stall = stall
        self._under_way: set[str] = set()
        self._decoding = asyncio.Lock()
        self._held = 0
        """Bytes of the bodies that are in memory."""

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {Resource.COMMITMENT: self.request, Resource.COMMITMENT_RESULT: self.result}

    async def request(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """PS3.18 13.4. 409 for a Transaction UID that was used before, over DIMSE or HTTP."""
        offer, _ = choose(parse_accept(accept_of(request)), ANSWERS)
        uid = _transaction(match)
        try:
            references = await self._read(request)
            await self._publish(request, uid, references)
        except GantryError:
            self._metrics.commitment_transactions.labels("refused").inc()
            raise
        self._metrics.commitment_transactions.labels("accepted").inc()
        await reach(FailPoint.BEFORE_ANSWER)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._takers.findings(uid)
        except TimeoutError:
            return _later()
        return await self._answer(request, offer.type, uid)

    async def result(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """PS3.18 13.5. 404 for a transaction that was never requested over HTTP."""
        offer, _ = choose(parse_accept(accept_of(request)), ANSWERS)
        return await self._answer(request, offer.type, _transaction(match))

    async def _read(self, request: web.BaseRequest) -> tuple[CommitmentReference, ...]:
        content_type = parse_content_type(request.headers.get("Content-Type", ""))
        if content_type is None or content_type.type not in (DICOM_JSON, JSON, DICOM_XML):
            raise HttpProblem(415, f"we take {DICOM_JSON} or {DICOM_XML}")
        most = min(self._settings.max_references, MOST_REFERENCES)
        body = bytearray()
        try:
            async for piece in body_of(request, most * _BYTES_PER_REFERENCE + 65536, self._stall):
                body += piece
                self._held += len(piece)
                if self._held > MOST_HELD:
                    retry = {"Retry-After": str(_AGAIN_SECONDS)}
                    raise HttpProblem(503, "too many requests for storage commitment are being read", retry)
            # Tens of thousands of references take half a second to decode: not on the event loop, and one at a time.
            async with self._decoding:
                return await asyncio.to_thread(
                    references_of, bytes(body), xml=content_type.type == DICOM_XML, most=most
                )
        except TooLarge as error:
            raise HttpProblem(413, str(error)) from error
        except NotUnderstood as error:
            raise HttpProblem(400, str(error)) from error
        finally:
            self._held -= len(body)

    async def _publish(self, request: web.BaseRequest, uid: str, references: tuple[CommitmentReference, ...]) -> None:
        if uid in self._under_way:
            raise HttpProblem(409, "the transaction uid was used before")
        self._under_way.add(uid)
        try:
            if not self._ledger.is_known(uid):
                await self._refresh()
            if self._ledger.is_known(uid):
                raise HttpProblem(409, "the transaction uid was used before")
            async with self._takers.taking(uid, None) as taking:
                await reach(FailPoint.BEFORE_PUBLISH)
                requested = self._requested(request, uid, references)
                await self._log.append(requested)
                self._ledger.note(uid)
                taking.accepted(requested)
        finally:
            self._under_way.discard(uid)

    def _requested(
        self, request: web.BaseRequest, uid: str, references: tuple[CommitmentReference, ...]
    ) -> CommitmentRequested:
        caller = request[CALLER]
        return CommitmentRequested(
            partition=DEFAULT_PARTITION,
            trace=request[TRACE],
            transaction_uid=uid,
            requested_at=self._clock.now_us(),
            calling_ae_title=caller.name or LOOPBACK,
            called_ae_title="",
            peer_address="" if caller.address is None else str(caller.address),
            references=references,
        )

    async def _answer(self, request: web.BaseRequest, type_: str, uid: str) -> web.StreamResponse:
        result = await self._results.read(uid)
        if result is not None:
            return await answer(request, await asyncio.to_thread(_body, result, type_), type_, _FRESH)
        if not self._ledger.is_known(uid):
            await self._refresh()
        if not self._ledger.is_known(uid):
            raise HttpProblem(404, "no storage commitment was requested with this transaction uid")
        if self._ledger.is_reported(uid) and await self._results.read(uid) is None:
            raise HttpProblem(
                404, "nothing is stored of this transaction: it was requested over DIMSE, and reported there"
            )
        return _later()


def _transaction(match: Match) -> str:
    (uid, *more) = match.rest
    if more or not is_uid(uid):
        raise HttpProblem(400, "the transaction in the path is not a uid")
    return uid


def _later() -> web.Response:
    # PS3.18 table 13.4.3-1: no payload.
    return web.Response(status=202, headers={"Retry-After": str(_AGAIN_SECONDS), **_FRESH})


def _body(result: CommitmentResult, type_: str) -> bytes:
    response = response_of(result)
    return to_xml(response) if type_ == DICOM_XML else to_json(response)
