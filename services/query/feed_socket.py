"""The change feed over a WebSocket, beside server-sent events: the same changes under the same cursors.

Each message is one page, `{"changes": […], "next": CURSOR}`; the first is empty, and so are those sent when there is no
news, so that a reader always knows its position. One page at a time is in transit to a reader: changes for a slow one
wait on the log.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from gantry.common.events.changes import Json
from gantry.common.runtime.feed_cursor import FeedCursor
from gantry.common.web.sockets import ServerSocket, serve_texts

Pages = AsyncIterator[tuple[Sequence[Json], FeedCursor]]


async def serve_pages(socket: ServerSocket, pages: Pages, ending: asyncio.Event) -> web.StreamResponse:
    """Send pages until the reader disconnects or is too slow, a store is unavailable, or this process drains
    (`ending`)."""
    return await serve_texts(socket, _texts(pages), ending)


async def _texts(pages: Pages) -> AsyncIterator[str]:
    async for changes, cursor in pages:
        yield json.dumps({"changes": list(changes), "next": cursor.text})
