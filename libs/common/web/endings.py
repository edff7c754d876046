"""Endless answers: each ends when this process drains, and soon after its caller loses access: when a token expires, a
session ends, or a name is removed from a file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from gantry.common.clock import Clock
from gantry.common.telemetry.logs import get_logger

LOOK_AGAIN_SECONDS = 5.0
"""Seconds between two checks of a caller."""
logger = get_logger("web")


def is_websocket(request: web.BaseRequest) -> bool:
    """Whether a request asks for the protocol to be changed to a WebSocket (RFC 6455 4.2.1)."""
    return request.headers.get("Upgrade", "").strip().lower() == "websocket"


def is_stream(request: web.BaseRequest) -> bool:
    """Whether a request asks for an endless answer."""
    return "text/event-stream" in request.headers.get("Accept", "") or is_websocket(request)


class Endings:
    """`set` ends all answers; each also has an event of its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[asyncio.Event, Callable[[], Awaitable[bool]] | None] = {}
        self._all = False

    @property
    def all_end(self) -> bool:
        """Whether this process drains."""
        return self._all

    def end_all(self) -> None:
        """This process drains."""
        self._all = True
        for event in self._open:
            event.set()

    @contextmanager
    def begun(self) -> Iterator[asyncio.Event]:
        """The event of an answer, while it lasts."""
        event = asyncio.Event()
        if self._all:
            event.set()
        self._open[event] = None
        try:
            yield event
        finally:
            del self._open[event]

    def watch(self, event: asyncio.Event, still: Callable[[], Awaitable[bool]]) -> None:
        """Set the event of a running answer once `still` returns that its caller has lost access."""
        self._open[event] = still

    async def run(self) -> None:
        """Check the watched answers, until cancelled."""
        while True:
            await self._clock.sleep(LOOK_AGAIN_SECONDS)
            watched = [
                (event, still) for event, still in self._open.items() if still is not None and not event.is_set()
            ]
            # All at once, so that an issuer that is slow for one caller does not delay other streams.
            await asyncio.gather(*(_look(event, still) for event, still in watched))


async def _look(event: asyncio.Event, still: Callable[[], Awaitable[bool]]) -> None:
    try:
        if await still():
            return
        logger.info("a stream was ended: its caller no longer has permission")
    except Exception:
        # A fault of ours with one caller ends that caller's stream, but not the checks of others.
        logger.exception("a caller of a stream cannot be looked at")
    event.set()
