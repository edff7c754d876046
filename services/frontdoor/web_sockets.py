"""WebSockets through the door: forwards the messages of a service to its reader, and the close code."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
from aiohttp import web
from yarl import URL

from gantry.common.clock import Clock
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.errors import HttpProblem
from gantry.common.web.server import ENDING
from gantry.common.web.sockets import GOING_AWAY, TOO_SLOW, TRY_AGAIN_LATER, ServerSocket

_PING_SECONDS = 15.0
_LARGEST = 256 << 20
"""Longest message of a service, in bytes: a page of changes."""
# The door itself answers the upgrade; it has checked the origin.
_OF_THE_DOOR = ("sec-websocket-", "origin")
logger = get_logger("door")


async def relay(
    request: web.BaseRequest,
    session: aiohttp.ClientSession,
    url: URL,
    headers: Mapping[str, str],
    clock: Clock,
    stall: float,
) -> web.StreamResponse:
    """Open a WebSocket at a service and forward its messages. Raises `HttpProblem` with the status of a service that
    refuses it, and the errors of `aiohttp` if it cannot be reached."""
    socket = ServerSocket(request, clock, stall)
    socket.check()
    fields = {name: value for name, value in headers.items() if not name.lower().startswith(_OF_THE_DOOR)}
    try:
        service = await session.ws_connect(url, headers=fields, heartbeat=_PING_SECONDS, max_msg_size=_LARGEST)
    except aiohttp.WSServerHandshakeError as error:
        raise HttpProblem(error.status, "the service refuses the connection") from error
    async with service:
        response = await socket.open()
        tasks = (
            asyncio.ensure_future(_pass_on(service, socket)),
            asyncio.ensure_future(socket.listen()),
            asyncio.ensure_future(request[ENDING].wait()),
        )
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if tasks[2] in done:
                await socket.close(GOING_AWAY, "the door closes: go on with your cursor")
            elif tasks[0] in done:
                await socket.close(service.close_code or TRY_AGAIN_LATER, "go on with your cursor")
        except TimeoutError:
            logger.warning("a reader of a WebSocket is too slow")
            await socket.close(TOO_SLOW, "too slow: go on with your cursor")
        except ConnectionError:
            pass  # the reader has closed
        finally:
            await end_tasks(*tasks)
    return response


async def _pass_on(service: aiohttp.ClientWebSocketResponse, socket: ServerSocket) -> None:
    async for message in service:
        if message.type is aiohttp.WSMsgType.TEXT:
            await socket.send(message.data)
