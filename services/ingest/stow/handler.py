"""STOW-RS (PS3.18 10.5): objects that come over HTTP, with the promises of C-STORE.

A body is processed part by part as it arrives; an invalid part does not affect the others. The response is sent when
every accepted object is durable and the log has acknowledged its event, and reports the outcome of each. If the body
breaks off, objects that had arrived whole are stored and reported, under the status of what is wrong with the body.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Container, Mapping, Sequence

from aiohttp import web

from gantry.common.dicom.model.json_writing import to_json
from gantry.common.dicom.model.xml_writing import to_xml
from gantry.common.errors import GantryError, TooLarge
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.bodies import answer, body_of
from gantry.common.web.callers import caller_of, rejecting_codes
from gantry.common.web.errors import RETRY_AFTER_SECONDS, HttpProblem, problem_of
from gantry.common.web.multipart import MultipartParser, PartBegan, PartEnded
from gantry.common.web.negotiation import (
    DICOM,
    DICOM_JSON,
    DICOM_XML,
    JSON,
    MULTIPART,
    MediaRange,
    Offer,
    choose,
    parse_accept,
    parse_content_type,
)
from gantry.common.web.routes import BASE, Match
from gantry.common.web.server import CALLER, TRACE
from gantry.common.web.urls import accept_of, base_url
from gantry.services.ingest.commit import InstanceWriter, Sender
from gantry.services.ingest.stow.conflicts import PREFERENCE, ConflictReports, is_preferred
from gantry.services.ingest.stow.files import IncomingFiles, Parts, Settling
from gantry.services.ingest.stow.metadata import Submission
from gantry.services.ingest.stow.response import StowOutcome, response_of, status_of, words_of_failures

LOOPBACK = "loopback"
"""Recorded in place of the calling AE title if the caller is on this machine and has no token."""

ANSWERS = (Offer(DICOM_JSON), Offer(JSON), Offer(DICOM_XML))
METADATA = (DICOM_JSON, DICOM_XML)
_MAX_BODY = 1 << 62
"""A study may have any size; each of its objects has a limit."""
MAX_PARTS = 20_000

logger = get_logger("ingest")


class StoreInstances:
    """The handler of `Resource.STORE`."""

    def __init__(
        self,
        writer: InstanceWriter,
        storage_classes: Container[str],
        stall: float,
        public_url: str | None,
        may_reject: Mapping[str, Collection[str]] | None = None,
        conflicts: ConflictReports | None = None,
    ) -> None:
        """A body may stall for `stall` seconds; `public_url` is the URL by which clients reach us, if known;
        `may_reject` are the codes with which tokens, by name, and `LOOPBACK` may reject; `conflicts` are reported to
        clients that ask for them."""
        self._conflicts = conflicts
        self._may_reject = may_reject or {}
        self._writer = writer
        self._storage_classes = storage_classes
        self._stall = stall
        self._public_url = public_url

    async def __call__(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        offer, _ = choose(parse_accept(accept_of(request)), ANSWERS)
        content_type = parse_content_type(request.headers.get("Content-Type", ""))
        sender = _sender(request, self._may_reject)
        settling = Settling()
        problem: HttpProblem | None = None
        try:
            try:
                await self._take(request, content_type, sender, match.study, settling)
            except TooLarge as error:
                problem = HttpProblem(413, str(error))
            except GantryError as error:
                problem = problem_of(error)
            outcomes = await settling.outcomes()
        finally:
            await settling.cancel()
        if problem is not None and not outcomes:
            raise problem
        await reach(FailPoint.BEFORE_ANSWER)
        conflicts = await self._with_conflicts(request, outcomes)
        preference = {} if conflicts is None else {"Preference-Applied": PREFERENCE}
        url = base_url(request, self._public_url)
        return await _answer(request, offer.type, conflicts or outcomes, problem, sender, url, preference)

    async def _with_conflicts(
        self, request: web.BaseRequest, outcomes: Sequence[StowOutcome]
    ) -> list[StowOutcome] | None:
        """The outcomes with conflicts, if the request asks for them and they can be determined."""
        if self._conflicts is None or not is_preferred(request.headers.getall("Prefer", [])):
            return None
        return await self._conflicts.of(outcomes, sees_all=request[CALLER].sight.whole)

    async def _take(
        self, request: web.BaseRequest, content_type: MediaRange | None, sender: Sender, study: str, settling: Settling
    ) -> None:
        """Read the body. Raises `GantryError` if it breaks off; objects that are in `settling` by then still count."""
        if content_type is None:
            raise HttpProblem(400, "the content type is missing or not valid")
        inner = content_type.inner if content_type.type == MULTIPART else content_type.type
        arguments = self._writer, sender, self._storage_classes, study
        if inner in METADATA:
            parts: Parts = Submission(*arguments, settling)
        elif inner == DICOM or (content_type.type == MULTIPART and not inner):
            parts = IncomingFiles(*arguments, inner, settling)
        else:
            known = " or ".join((DICOM, *METADATA))
            raise HttpProblem(415, f"we take {known}, by itself or as the type of {MULTIPART}")
        body = body_of(request, _MAX_BODY, self._stall)
        try:
            if content_type.type == MULTIPART:
                await _take_parts(body, content_type.parameters.get("boundary", ""), parts)
            else:
                await _take_whole(body, content_type.type, parts)
            await parts.finish()
        finally:
            await parts.close()


async def _take_whole(body: AsyncIterator[bytes], type_: str, parts: Parts) -> None:
    """A body that is not multipart, fed as a single part."""
    parts.begin({"content-type": type_})
    async for piece in body:
        await parts.feed(piece)
    await parts.end()


async def _take_parts(body: AsyncIterator[bytes], boundary: str, parts: Parts) -> None:
    parser = MultipartParser(boundary, max_parts=MAX_PARTS)
    async for piece in body:
        for event in parser.feed(piece):
            if isinstance(event, PartBegan):
                parts.begin(event.headers)
            elif isinstance(event, PartEnded):
                await parts.end()
            else:
                await parts.feed(event)
    parser.finish()
    if not parser.parts:
        raise HttpProblem(400, "the body has no part")


def _sender(request: web.BaseRequest, may_reject: Mapping[str, Collection[str]]) -> Sender:
    """The sender: the name of the token takes the place of the AE title."""
    address = request[CALLER].address
    codes = rejecting_codes(request, may_reject)
    return Sender(request[TRACE], caller_of(request), "", "" if address is None else str(address), codes)


async def _answer(
    request: web.BaseRequest,
    type_: str,
    outcomes: list[StowOutcome],
    problem: HttpProblem | None,
    sender: Sender,
    url: str,
    preference: Mapping[str, str],
) -> web.Response:
    response = response_of(outcomes, f"{url}{BASE}")
    status = status_of(outcomes) if problem is None else problem.status
    headers = dict(preference) | ({} if problem is None else dict(problem.headers))
    if status == 503:
        headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    if problem is not None:
        # PS3.18 8.5: a reason for people to read; the payload still lists what is stored.
        headers |= {"Warning": f'299 gantry "{problem.line}"', "Connection": "close"}
    failures = sum(1 for outcome in outcomes if outcome.failure)
    log = logger.warning if failures else logger.info
    why = words_of_failures(outcomes)
    log(
        "store request ended",
        status=status,
        stored=len(outcomes) - failures,
        failed=failures,
        **({"why": why} if why else {}),
        calling=sender.calling_ae_title,
        peer=sender.peer_address,
        trace=sender.trace,
    )
    return await answer(request, to_xml(response) if type_ == DICOM_XML else to_json(response), type_, headers, status)
