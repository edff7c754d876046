"""Changes of studies as server-sent events (WHATWG HTML 9.2), an extension to DICOMweb."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from aiohttp import web

from gantry.common.tasks import end_tasks
from gantry.common.web.bodies import BodyWriter
from gantry.common.web.errors import RETRY_AFTER_SECONDS, HttpProblem
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import ENDING, Handler
from gantry.services.query.changes import ChangeListener, ChangeReader
from gantry.services.query.coalescing import Offsets, StudyChange, cursor_of, cursor_text

HEARTBEAT_SECONDS = 15.0
_STALL_SECONDS = 30.0
_RETRY_MS = 2000
_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class ChangeService:
    """Sends each listener the changes it has missed, and then new ones as they happen."""

    def __init__(self, changes: ChangeReader) -> None:
        self._changes = changes

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {Resource.CHANGES: self.stream}

    async def stream(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Ends when the client disconnects or is too slow, or when this process drains."""
        since = _since(request)
        if self._changes.is_full:
            raise HttpProblem(
                503, "there are too many listeners: try again later", {"Retry-After": str(RETRY_AFTER_SECONDS)}
            )
        async with self._changes.listen() as listener:
            out = BodyWriter(request, _STALL_SECONDS)
            if not await out.begin(200, _HEADERS):
                return await out.end()
            listener.drop = out.cut
            begin = since if since is not None else listener.begin
            await out.write(f"retry: {_RETRY_MS}\nid: {cursor_text(begin)}\n\n".encode())
            if since is not None:
                await out.write(await self._missed(since, listener.begin))
            await _go_on(out, listener, request[ENDING])
            return await out.end()

    async def _missed(self, since: Offsets, until: Offsets) -> bytes:
        studies = await self._changes.missed(since, until)
        if studies is None:
            return _event("reset", {}, until)
        changes = [StudyChange(study, until if study is studies[-1] else since) for study in studies]
        return _encoded_events(changes) or f"id: {cursor_text(until)}\n\n".encode()


async def _go_on(out: BodyWriter, listener: ChangeListener, ending: asyncio.Event) -> None:
    """Send changes until this process drains."""
    ended = asyncio.ensure_future(ending.wait())
    following: asyncio.Future[list[StudyChange]] | None = None
    try:
        while not ended.done():
            following = following or asyncio.ensure_future(listener.next())
            await asyncio.wait((ended, following), timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                changes, following = following.result(), None
                await out.write(_encoded_events(changes))
            elif not ended.done():
                await out.write(b":\n\n")  # so that the connection is known to be alive
    finally:
        await end_tasks(ended, following)


def _since(request: web.BaseRequest) -> Offsets | None:
    """The cursor after which the client continues: the one a browser sends on reconnecting overrides the URL's."""
    text = request.headers.get("Last-Event-ID") or request.query.get("since")
    if not text:
        return None
    cursor = cursor_of(text)
    if cursor is None:
        raise HttpProblem(400, "the cursor is not valid: leave it out to begin with what happens from now on")
    return cursor


def _encoded_events(changes: Sequence[StudyChange]) -> bytes:
    events = [
        _event("study", {"StudyInstanceUID": change.study, "what": "stored"}, change.cursor) for change in changes
    ]
    return b"".join(events)


def _event(name: str, data: dict[str, str], cursor: Offsets) -> bytes:
    return f"id: {cursor_text(cursor)}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()
