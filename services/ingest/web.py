"""STOW-RS (PS3.18 10.5): objects that come over HTTP, with the promises of C-STORE.

A body is taken part by part as it arrives; a part that is wrong costs the others nothing. The answer comes when every
part that was kept is durable and its event acknowledged by the log, and says what became of each. Where the body breaks
in the middle, what had arrived whole is kept and told, under the status of what is wrong with the body.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Container

from aiohttp import web

from libs.common.errors import NotUnderstood, TooLarge
from libs.common.runtime.failpoints import FailPoint, reach
from libs.common.telemetry.logs import get_logger
from libs.common.telemetry.traces import child_of
from libs.common.web.bodies import answer, body_of
from libs.common.web.errors import RETRY_AFTER_SECONDS, HttpProblem
from libs.common.web.multipart import MultipartParser, PartBegan, PartEnded
from libs.common.web.negotiation import (
    DICOM,
    DICOM_JSON,
    JSON,
    MULTIPART,
    MediaRange,
    Offer,
    choose,
    parse_accept,
    parse_content_type,
)
from libs.common.web.routes import BASE, Match
from libs.common.web.server import CALLER
from services.ingest.incoming import IncomingFile, Settling
from services.ingest.keeping import Keeper, Sender
from services.ingest.outcomes import Outcome, response_of, status_of

LOOPBACK = "loopback"
"""What stands in the place of the calling AE title where the caller is this machine and has no token."""

_ANSWERS = (Offer(DICOM_JSON), Offer(JSON))
_MAX_BODY = 1 << 62
"""A study has any size; its objects have a limit each."""
_MAX_PARTS = 20_000

_log = get_logger("ingest")


class StoreInstances:
    """The handler of `Resource.STORE`."""

    def __init__(self, keeper: Keeper, storage_classes: Container[str], stall: float) -> None:
        """`stall` is for how many seconds a body may stand still."""
        self._keeper = keeper
        self._storage_classes = storage_classes
        self._stall = stall

    async def __call__(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        offer, _ = choose(parse_accept(request.headers.get("Accept", "")), _ANSWERS)
        given = parse_content_type(request.headers.get("Content-Type", ""))
        sender = _sender(request)
        settling = Settling()
        problem: HttpProblem | None = None
        try:
            try:
                await self._take(request, given, sender, match.study, settling)
            except HttpProblem as found:
                problem = found
            outcomes = await settling.outcomes()
        finally:
            await settling.cancel()
        if problem is not None and not outcomes:
            raise problem
        await reach(FailPoint.BEFORE_ANSWER)
        return await _answer(request, offer.type, outcomes, problem, sender)

    async def _take(
        self, request: web.BaseRequest, given: MediaRange | None, sender: Sender, study: str, settling: Settling
    ) -> None:
        """Read the body. Raises `HttpProblem` where it breaks; what is in `settling` by then counts."""
        if given is None:
            raise HttpProblem(400, "the content type is missing, or is none")
        body = body_of(request, _MAX_BODY, self._stall)
        if given.type == DICOM:
            await self._take_file(body, IncomingFile(self._keeper, sender, self._storage_classes, study), settling)
        elif given.type == MULTIPART and given.inner in ("", DICOM):
            await self._take_files(body, given, sender, study, settling)
        else:
            raise HttpProblem(415, f'we take {DICOM} and {MULTIPART}; type="{DICOM}"')

    async def _take_file(self, body: AsyncIterator[bytes], file: IncomingFile, settling: Settling) -> None:
        whole = False
        try:
            async for piece in body:
                await file.feed(piece)
            whole = True
        except TooLarge as error:
            raise HttpProblem(413, str(error)) from error
        finally:
            if not whole:
                await file.discard()
        await settling.add(file.settle())

    async def _take_files(
        self, body: AsyncIterator[bytes], given: MediaRange, sender: Sender, study: str, settling: Settling
    ) -> None:
        parser = MultipartParser(given.parameters.get("boundary", ""), max_parts=_MAX_PARTS)
        file: IncomingFile | None = None
        try:
            async for piece in body:
                for event in parser.feed(piece):
                    if isinstance(event, PartBegan):
                        file = IncomingFile(self._keeper, sender, self._storage_classes, study)
                        _look_at(event, given.inner, file)
                    elif isinstance(event, PartEnded):
                        assert file is not None
                        arrived, file = file, None
                        await settling.add(arrived.settle())
                    elif file is not None:
                        await file.feed(event)
            parser.finish()
            if not parser.parts:
                raise HttpProblem(400, "no part in the body")
        except TooLarge as error:
            raise HttpProblem(413, str(error)) from error
        finally:
            if file is not None:
                await file.discard()


def _look_at(began: PartBegan, inner: str, file: IncomingFile) -> None:
    """PS3.18 8.6.1.2.1: the parts are of the type that the body announces."""
    type_ = parse_content_type(began.headers.get("content-type", inner))
    if type_ is None or type_.type != DICOM:
        file.refuse(NotUnderstood(f"a part that is not {DICOM}"))


def _sender(request: web.BaseRequest) -> Sender:
    """Who sends: the name of the token where an AE title would stand."""
    caller = request[CALLER]
    address = "" if caller.address is None else str(caller.address)
    return Sender(child_of(request.headers.get("traceparent", "")), caller.name or LOOPBACK, "", address)


async def _answer(
    request: web.BaseRequest, type_: str, outcomes: list[Outcome], problem: HttpProblem | None, sender: Sender
) -> web.Response:
    response = response_of(outcomes, f"{request.scheme}://{request.host}{BASE}")
    status = status_of(outcomes) if problem is None else problem.status
    headers = {} if problem is None else dict(problem.headers)
    if status == 503:
        headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    if problem is not None:
        # PS3.18 8.5: a reason for people; the payload says what is stored all the same.
        headers |= {"Warning": f'299 gantry "{problem.line}"', "Connection": "close"}
    failures = sum(1 for outcome in outcomes if outcome.failure)
    _log.info(
        "store request ended",
        status=status,
        stored=len(outcomes) - failures,
        failed=failures,
        calling=sender.calling_ae_title,
        peer=sender.peer_address,
        trace=sender.trace,
    )
    return await answer(request, json.dumps(response).encode(), type_, headers, status)
