"""The event channel of UPS-RS, as a foreign client reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp


@asynccontextmanager
async def channel(
    port: int, title: str, query: str = "", **headers: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    url = f"http://127.0.0.1:{port}/dicom-web/subscribers/{title}{query}"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=headers) as opened:
        yield opened


def report_in(event: dict[str, Any]) -> tuple[str, int, str]:
    """The UID, the type, and the state if the event has one."""
    state = event.get("00741000", {}).get("Value", [""])[0]
    return event["00001000"]["Value"][0], event["00001002"]["Value"][0], state


async def next_of(opened: aiohttp.ClientWebSocketResponse, number: int) -> list[tuple[str, int, str]]:
    return [report_in(await opened.receive_json(timeout=10)) for _ in range(number)]


async def pages_until(opened: aiohttp.ClientWebSocketResponse, number: int) -> tuple[list[tuple[str, int, str]], str]:
    """`number` events, and the cursor behind them."""
    events: list[tuple[str, int, str]] = []
    while True:
        page = await opened.receive_json(timeout=10)
        events += map(report_in, page["events"])
        if len(events) >= number:
            return events, page["next"]
