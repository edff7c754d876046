"""The change feed over a WebSocket, beside server-sent events: the same changes under the same cursors.

Each message is one page, `{"changes": […], "next": CURSOR}`; the first has no changes, and so has one that comes in
silence, so that a reader always knows where it is. One page at a time is on its way to a reader: what waits for a slow
one is the log.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from gantry.common.errors import DependencyUnavailable, GantryError
from gantry.common.events.changes import Json
from gantry.common.runtime.feed_cursor import FeedCursor
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.sockets import GOING_AWAY, INTERNAL_ERROR, TOO_SLOW, TRY_AGAIN_LATER, ServerSocket

Pages = AsyncIterator[tuple[Sequence[Json], FeedCursor]]
logger = get_logger("query")


async def serve_pages(socket: ServerSocket, pages: Pages, ending: asyncio.Event) -> web.StreamResponse:
    """Send pages until the reader leaves or is too slow, a store is away, or this process drains (`ending`)."""
    response = await socket.open()
    ended = asyncio.ensure_future(ending.wait())
    tasks = (asyncio.ensure_future(_send(socket, pages)), asyncio.ensure_future(socket.listen()), ended)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if ended in done:
            await socket.close(GOING_AWAY, "this process ends: go on with your cursor")
    except DependencyUnavailable:
        await socket.close(TRY_AGAIN_LATER, "a store is away: go on with your cursor later")
    except GantryError as error:
        logger.error("the change feed cannot be read", error=error)
        await socket.close(INTERNAL_ERROR, "the feed cannot be read: ask who runs the archive")
    except TimeoutError:
        logger.warning("a reader of the change feed is too slow")
        await socket.close(TOO_SLOW, "too slow: go on with your cursor")
    except ConnectionError:
        pass  # it has left
    finally:
        await end_tasks(*tasks)
    return response


async def _send(socket: ServerSocket, pages: Pages) -> None:
    async for changes, cursor in pages:
        await socket.send(json.dumps({"changes": list(changes), "next": cursor.text}))
