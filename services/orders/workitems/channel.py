"""Subscriptions of UPS-RS, and the channel that sends events to subscribers (PS3.18 8.10, 11.10 to 11.13).

The channel is read from the log, from the reader's own cursor on: nothing of it is stored here, so that it survives
restarts, and any process can continue it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from aiohttp import web

from gantry.common.access import Verb
from gantry.common.clock import Clock
from gantry.common.dicom.model.json_writing import keys_as_attributes
from gantry.common.dicom.standard.sop_classes import UNIFIED_PROCEDURE_STEP_PUSH, UPS_FILTERED_GLOBAL_SUBSCRIPTION
from gantry.common.errors import NotFound
from gantry.common.ids import is_ae_title
from gantry.common.ports.log import EventLog
from gantry.common.runtime.feed_cursor import FeedCursor, feed_cursor
from gantry.common.runtime.restored_log import RestoredLog
from gantry.common.web.callers import caller_of, may
from gantry.common.web.endings import is_websocket
from gantry.common.web.errors import RETRY_AFTER_SECONDS, HttpProblem
from gantry.common.web.routes import BASE, Match, Resource
from gantry.common.web.server import ENDING, TRACE, Handler
from gantry.common.web.sockets import ServerSocket, serve_texts
from gantry.common.web.urls import base_url
from gantry.services.orders.workitems.answers import answered
from gantry.services.orders.workitems.desk import Asker, WorkitemDesk
from gantry.services.orders.workitems.happenings import TOPIC, Happening, Happenings, events_in
from gantry.services.orders.workitems.parameters import filter_in

MOST_READERS = 64
"""Most open channels per process."""
_STALL_SECONDS = 30.0
_SKEW_US = 3600 * 1_000_000
"""How far the clocks of machines may differ."""
_FRESH = {"Cache-Control": "no-store"}
_OTHERS = ("deletionlock", "accept", "charset")


class EventChannel:
    """Callers that may change workitems may subscribe AE titles; callers that may see workitems may read any title's
    channel."""

    def __init__(
        self,
        desk: WorkitemDesk,
        log: EventLog,
        happenings: Happenings,
        clock: Clock,
        may_order: Collection[str],
        public_url: str | None,
        restored: RestoredLog,
    ) -> None:
        """`may_order` are the names of those that may subscribe. `public_url` is the URL by which clients reach this
        server; None: the URL of each request."""
        self._public_url = public_url
        self._restored = restored
        self._desk = desk
        self._log = log
        self._happenings = happenings
        self._clock = clock
        self._may_order = frozenset(may_order)
        self._readers = 0

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {
            Resource.SUBSCRIBE_WORKITEMS: self.subscribe,
            Resource.UNSUBSCRIBE_WORKITEMS: self.unsubscribe,
            Resource.WORKITEM_EVENTS: self.listen,
        }

    async def subscribe(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """PS3.18 11.10: 201 with the URL of the channel; and 11.12, `suspend`: 200. 400, 403, 404, 409."""
        asker = self._asker(request)
        if match.rest[1:] == ("suspend",):
            title = _title(match.rest[0])
            known = await self._happenings.is_subscribed(title, match.study)
            answered(await self._desk.suspend(match.study, title, asker))
            return _ended(known)
        (title,) = _title_in(match)
        lock = _flag(request, "deletionlock")
        parameters = [(name, value) for name, value in request.query.items() if name not in _OTHERS]
        keys = filter_in(parameters) if match.study == UPS_FILTERED_GLOBAL_SUBSCRIPTION else {}
        answered(await self._desk.subscribe(match.study, title, keys, asker, lock=lock))
        return web.Response(status=201, headers={**_FRESH, "Content-Location": self._channel(request, title)})

    async def unsubscribe(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """PS3.18 11.11: 200. 400, 403, 404 also if it was not subscribed."""
        (title,) = _title_in(match)
        asker = self._asker(request)
        known = await self._happenings.is_subscribed(title, match.study)
        # Published in any case: another process may know a subscription already, and after a 404 no events may follow.
        answered(await self._desk.unsubscribe(match.study, title, asker))
        return _ended(known)

    async def listen(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """PS3.18 8.10.4: 101 and a WebSocket. 400 for an invalid handshake, and for an invalid cursor."""
        (title,) = _title_in(match)
        if not is_websocket(request):
            raise HttpProblem(426, "this is a channel: open it as a WebSocket", {"Upgrade": "websocket"})
        socket = ServerSocket(request, self._clock, _STALL_SECONDS)
        socket.check()
        text = request.headers.get("Last-Event-ID") or request.query.get("since", "")
        cursor, since_us = await self._cursor(text)
        if self._readers >= MOST_READERS:
            again = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            raise HttpProblem(503, "too many channels are open: try again later", again)
        self._readers += 1
        try:
            return await serve_texts(socket, self._texts(title, cursor, since_us, paged=bool(text)), request[ENDING])
        finally:
            self._readers -= 1

    def _asker(self, request: web.BaseRequest) -> Asker:
        if not may(request, Verb.ORDER, self._may_order):
            raise HttpProblem(403, "this caller may not subscribe to workitems; http.may_order names those that may")
        return Asker(f"rest {caller_of(request)}", request[TRACE])

    def _channel(self, request: web.BaseRequest, title: str) -> str:
        """PS3.18 11.10.3.2: the URL of the WebSocket, or its path if the request names no host."""
        base = base_url(request, self._public_url)
        return f"{base.replace('http', 'ws', 1)}{BASE}/subscribers/{quote(title, safe='')}"

    async def _cursor(self, text: str) -> tuple[FeedCursor, int]:
        """The cursor to continue from, and the time (microseconds) from which events are sent: the log keeps workitems
        for ever, so a cursor from before a restore starts from the beginning of the log."""
        now_ms = self._clock.now_us() // 1000
        if text in ("", "now"):
            return FeedCursor(now_ms, {TOPIC: await self._log.ends(TOPIC)}), 0
        cursor = feed_cursor(text)
        if cursor is None or TOPIC not in cursor.offsets:
            raise HttpProblem(400, "since is not a cursor of this channel: leave it out to begin now")
        if cursor.read_ms < await self._restored.last_ms():
            # Its time stays until all of this log is read: a reader that disconnects before that starts from the
            # beginning again.
            return FeedCursor(cursor.read_ms, {TOPIC: {}}), cursor.read_ms * 1000 - _SKEW_US
        return cursor, 0

    async def _texts(self, title: str, cursor: FeedCursor, since_us: int, *, paged: bool) -> AsyncIterator[str]:
        """Each event by itself, as in PS3.18; if `paged`, in pages with the reader's position."""
        number = 0
        if paged:
            yield _page([], cursor)
        # A partition that the cursor does not name is new, and is read from its beginning.
        known, ends = cursor.offsets[TOPIC], await self._log.ends(TOPIC)
        after = {partition: known.get(partition, 0) for partition in ends}
        async with aclosing(self._log.follow(TOPIC, None, after)) as following:
            async for passed in following:
                documents: list[dict[str, Any]] = []
                events = [event for event in events_in(passed.records) if getattr(event, "at", since_us) >= since_us]
                async for happening in self._happenings.of(events, passed.ends):
                    for document in _documents(happening, title, number):
                        number += 1
                        documents.append(document)
                cursor = cursor.at(TOPIC, passed.ends)
                if all(passed.ends.get(partition, 0) >= end for partition, end in ends.items()):
                    cursor = replace(cursor, read_ms=self._clock.now_us() // 1000)
                if paged and documents:
                    yield _page(documents, cursor)
                elif not paged:
                    for document in documents:
                        yield json.dumps(document)


def _documents(happening: Happening, title: str, number: int) -> list[dict[str, Any]]:
    """The reports for an AE title: the command elements that PS3.18 8.10.5 requires, and the event information."""
    if title not in {recipient.subscriber for recipient in happening.told}:
        return []
    return [
        {
            "00000002": {"vr": "UI", "Value": [UNIFIED_PROCEDURE_STEP_PUSH]},
            "00000110": {"vr": "US", "Value": [(number + place) % 65536]},
            "00001000": {"vr": "UI", "Value": [happening.workitem.uid]},
            "00001002": {"vr": "US", "Value": [int(report.type)]},
            **keys_as_attributes(report.information),
        }
        for place, report in enumerate(happening.reports, 1)
    ]


def _page(events: Sequence[dict[str, Any]], cursor: FeedCursor) -> str:
    return json.dumps({"events": list(events), "next": cursor.text})


def _ended(known: bool) -> web.Response:
    """PS3.18 tables 11.11.3-1, 11.12.3-1."""
    if not known:
        raise HttpProblem(404, "there is no such subscription")
    return web.Response(headers=_FRESH)


def _title_in(match: Match) -> tuple[str]:
    if len(match.rest) != 1:
        raise NotFound
    return (_title(match.rest[0]),)


def _title(text: str) -> str:
    if not is_ae_title(text):
        raise HttpProblem(400, "the subscriber in the path is not an ae title")
    return text


def _flag(request: web.BaseRequest, name: str) -> bool:
    value = request.query.get(name, "false").lower()
    if value not in ("true", "false"):
        raise HttpProblem(400, f"{name} is neither true nor false")
    return value == "true"
