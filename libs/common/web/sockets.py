"""WebSockets (RFC 6455) of this server: who may open one, and how it ends. aiohttp does frames, pings and closing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import WSMsgType, web

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, GantryError
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.bodies import BEGUN, CORS
from gantry.common.web.errors import HttpProblem
from gantry.common.web.server import is_own_origin

GOING_AWAY = 1001
"""RFC 6455 7.4.1: this process drains."""
INTERNAL_ERROR = 1011
"""RFC 6455 7.4.1: the requested data cannot be read."""
TRY_AGAIN_LATER = 1013
"""From the IANA registry: a store or a service is unavailable."""
TOO_SLOW = 4001
"""Our own code (RFC 6455 7.4.2): the reader accepted nothing for too long."""
_PING_SECONDS = 15.0
_CLOSE_SECONDS = 5.0
_MOST_FROM_CLIENT = 4096
"""Bytes of a message from a reader, none of which is expected."""
_ROOM = 1 << 16
"""Bytes that may wait in this process for a reader."""

logger = get_logger("web")


class ServerSocket:
    """A WebSocket to which this server sends text, and from which it expects nothing."""

    def __init__(self, request: web.BaseRequest, clock: Clock, stall: float) -> None:
        """A reader that accepts nothing for `stall` seconds is disconnected."""
        self._request = request
        self._clock = clock
        self._stall = stall
        self._socket = web.WebSocketResponse(
            timeout=_CLOSE_SECONDS,
            heartbeat=_PING_SECONDS,
            autoping=True,
            max_msg_size=_MOST_FROM_CLIENT,
            compress=False,
            writer_limit=_ROOM,
        )

    def check(self) -> None:
        """Raises `HttpProblem` for an invalid handshake (400), and for a page of another origin (403): browsers send no
        preflight for a WebSocket and let any page read it, so the server has to check."""
        if not self._request.get(CORS) and not is_own_origin(self._request):
            raise HttpProblem(403, "pages of other sites may not ask; http.cors_origins names those that may")
        if not self._socket.can_prepare(self._request):
            raise HttpProblem(400, "not the handshake of a WebSocket of version 13", {"Sec-WebSocket-Version": "13"})

    async def open(self) -> web.StreamResponse:
        """Change the protocol. Returns the response that the handler returns in the end."""
        self._request[BEGUN] = True
        await self._socket.prepare(self._request)
        return self._socket

    async def send(self, text: str) -> None:
        """Send a message; returns when there is room for the next one. Raises `TimeoutError` if the reader accepts
        nothing, `ConnectionError` if it has left."""
        async with asyncio.timeout(self._stall):
            await self._socket.send_str(text)

    async def listen(self) -> None:
        """Read what the reader sends, so that its pongs and its closing are seen. Returns when it has left."""
        async for message in self._socket:
            if message.type is WSMsgType.ERROR:
                return

    async def close(self, code: int, why: str) -> None:
        """Close with a code, and wait a little for a slow reader to accept what is in transit."""
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(self._stall):
                await self._socket.close(code=code, message=why.encode(), drain=False)
        transport = self._request.transport
        until = self._clock.monotonic() + self._stall
        while transport is not None and transport.get_write_buffer_size():
            if self._clock.monotonic() >= until:
                transport.abort()
                return
            await self._clock.sleep(0.1)


async def serve_texts(socket: ServerSocket, texts: AsyncIterator[str], ending: asyncio.Event) -> web.StreamResponse:
    """Send texts until the reader leaves or is too slow, a store is unavailable, or this process drains (`ending`)."""
    response = await socket.open()
    ended = asyncio.ensure_future(ending.wait())
    tasks = (asyncio.ensure_future(_send(socket, texts)), asyncio.ensure_future(socket.listen()), ended)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if ended in done:
            await socket.close(GOING_AWAY, "this process ends: go on with your cursor")
    except DependencyUnavailable:
        await socket.close(TRY_AGAIN_LATER, "a store is away: go on with your cursor later")
    except GantryError as error:
        logger.error("the events for a WebSocket cannot be read", error=error)
        await socket.close(INTERNAL_ERROR, "it cannot be read: ask who runs the archive")
    except TimeoutError:
        logger.warning("a reader of a websocket is too slow")
        await socket.close(TOO_SLOW, "too slow: go on with your cursor")
    except ConnectionError:
        pass  # it has left
    finally:
        await end_tasks(*tasks)
    return response


async def _send(socket: ServerSocket, texts: AsyncIterator[str]) -> None:
    async for text in texts:
        await socket.send(text)
