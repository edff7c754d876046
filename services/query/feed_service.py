"""The whole change feed over HTTP, an extension to DICOMweb: in pages, as server-sent events, or over a WebSocket
(docs/changes.md).

GET /dicom-web/changes?since=CURSOR&limit=100&wait=30
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events.changes import Json
from gantry.common.runtime.feed import MOST_CHANGES, Feed, FeedPage
from gantry.common.runtime.feed_cursor import FeedCursor, feed_cursor
from gantry.common.tasks import end_tasks
from gantry.common.web.bodies import BodyWriter, answer
from gantry.common.web.endings import is_websocket
from gantry.common.web.errors import RETRY_AFTER_SECONDS, HttpProblem
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import ENDING, Handler
from gantry.common.web.sockets import ServerSocket
from gantry.services.query.feed_socket import serve_pages

MOST_READERS = 64
"""Requests that wait or stream, per process."""
LONGEST_WAIT = 60.0
"""Seconds that a request for a page may wait for news."""
_LOOK_AGAIN_SECONDS = 0.5
_HEARTBEAT_SECONDS = 15.0
_STALL_SECONDS = 30.0
_AT_ONCE = 100
"""Most changes between two ids of a stream: they may be repeated after a reconnection."""
_JSON = "application/json"
_STREAM = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_FRESH = {"Cache-Control": "no-store"}


class FeedService:
    """Answers with pages, and streams."""

    def __init__(self, feed: Feed, clock: Clock, stall: float = _STALL_SECONDS) -> None:
        """A reader of a stream that accepts nothing for `stall` seconds is disconnected."""
        self._feed = feed
        self._clock = clock
        self._stall = stall
        self._readers = 0

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {Resource.CHANGE_FEED: self.changes}

    async def changes(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """200 with a page, or a stream if text/event-stream is accepted, or 101 and a WebSocket; 400 for an invalid
        cursor."""
        socket = ServerSocket(request, self._clock, self._stall) if is_websocket(request) else None
        if socket is not None:
            socket.check()
        cursor = await self._since(request)
        limit = _number(request, "limit", MOST_CHANGES, MOST_CHANGES)
        wait = _number(request, "wait", 0, int(LONGEST_WAIT))
        streams = "text/event-stream" in request.headers.get("Accept", "")
        if not streams and not wait and socket is None:
            return await _answered(request, await self._feed.page(cursor, limit))
        if self._readers >= MOST_READERS:
            again = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            raise HttpProblem(503, "too many readers wait for changes: try again later", again)
        self._readers += 1
        try:
            if socket is not None:
                return await serve_pages(socket, self._pages(cursor), request[ENDING])
            if streams:
                return await self._stream(request, cursor)
            return await _answered(request, await self._awaited(cursor, limit, wait, request[ENDING]))
        finally:
            self._readers -= 1

    async def _since(self, request: web.BaseRequest) -> FeedCursor:
        # A browser that reconnects sends its last position, with the URL with which it began.
        text = request.headers.get("Last-Event-ID") or request.query.get("since", "")
        if text == "now":
            return await self._feed.now()
        cursor = feed_cursor(text) if text else await self._feed.beginning()
        if cursor is None:
            raise HttpProblem(400, "since is not a cursor of this feed: leave it out to begin at the beginning")
        return cursor

    async def _awaited(self, cursor: FeedCursor, limit: int, wait: float, ending: asyncio.Event) -> FeedPage:
        """A page that is not empty; or whatever there is when the time is over or this process drains."""
        until = self._clock.monotonic() + wait
        page = await self._feed.page(cursor, limit)
        while not page.changes and not ending.is_set() and self._clock.monotonic() < until:
            if not page.more:
                await self._clock.sleep(_LOOK_AGAIN_SECONDS)
            if page.more or await self._feed.has_news(page.cursor):
                page = await self._feed.page(page.cursor, limit)
        return page

    async def _stream(self, request: web.BaseRequest, cursor: FeedCursor) -> web.StreamResponse:
        out = BodyWriter(request, self._stall)
        if await out.begin(200, _STREAM):
            await out.write(f"retry: 2000\nid: {cursor.text}\n\n".encode())
            ended = asyncio.ensure_future(request[ENDING].wait())
            following = asyncio.ensure_future(self._follow(out, cursor))
            try:
                await asyncio.wait((ended, following), return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    following.result()
            finally:
                await end_tasks(ended, following)
        return await out.end()

    async def _follow(self, out: BodyWriter, cursor: FeedCursor) -> None:
        """Send past and new changes. Returns if a store is unavailable: the client reconnects, and continues."""
        try:
            async for changes, at in self._pages(cursor, begin=False):
                await out.write(_events(changes, at) if changes else f"id: {at.text}\n\n".encode())
        except DependencyUnavailable:
            return

    async def _pages(self, cursor: FeedCursor, *, begin: bool = True) -> AsyncIterator[tuple[list[Json], FeedCursor]]:
        """Past and new changes, with the cursor after them; an empty page with a cursor at the `begin`, and when there
        is no news."""
        if begin:
            yield [], cursor
        silent_since = self._clock.monotonic()
        while True:
            page = await self._feed.page(cursor, _AT_ONCE)
            cursor = page.cursor
            if page.changes:
                yield page.changes, cursor
                silent_since = self._clock.monotonic()
            while not page.more and not await self._feed.has_news(cursor):
                if self._clock.monotonic() - silent_since >= _HEARTBEAT_SECONDS:
                    yield [], cursor
                    silent_since = self._clock.monotonic()
                await self._clock.sleep(_LOOK_AGAIN_SECONDS)


async def _answered(request: web.BaseRequest, page: FeedPage) -> web.Response:
    body = {"changes": page.changes, "next": page.cursor.text, "more": page.more}
    return await answer(request, json.dumps(body).encode(), _JSON, _FRESH)


def _events(changes: Sequence[Json], cursor: FeedCursor) -> bytes:
    """Only the last event has an id: a client that is cut off in between gets all of them again."""
    texts = [f"event: {change['type']}\ndata: {json.dumps(change)}\n\n" for change in changes]
    texts[-1] = f"id: {cursor.text}\n{texts[-1]}"
    return "".join(texts).encode()


def _number(request: web.BaseRequest, name: str, default: int, most: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise HttpProblem(400, f"{name} is not a number")
    return max(1, min(int(text), most)) if name == "limit" else min(int(text), most)
