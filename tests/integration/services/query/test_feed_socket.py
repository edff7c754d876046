"""The change feed over a WebSocket: the changes of the other forms, cursors that go on, and how it ends."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.ports.log import EventLog
from gantry.common.runtime.feed import Feed
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.server import WebLimits, WebServer
from gantry.common.web.sockets import GOING_AWAY, INTERNAL_ERROR, TOO_SLOW, TRY_AGAIN_LATER
from gantry.services.query import feed_service
from gantry.services.query.feed_service import FeedService
from tests.support.facts import stored

URL = "/dicom-web/changes"
FRIEND = "https://viewer.example"
_STALL = 2.0
_MANY = 1200
"""Changes that are more, at 20 kB each, than the network holds."""


@dataclass
class Site:
    client: aiohttp.ClientSession
    log: EventLog
    server: WebServer
    folder: Path

    async def store(self, *numbers: int, reason: str = "") -> None:
        await self.log.append(*(replace(stored(n), calling_ae_title=reason or "CT1") for n in numbers))


async def said(ws: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    page: dict[str, Any] = await ws.receive_json(timeout=10)
    return page


async def numbers(ws: aiohttp.ClientWebSocketResponse, count: int) -> tuple[list[int], str]:
    receipts: list[int] = []
    cursor = ""
    while len(receipts) < count:
        page = await said(ws)
        receipts += [int(change["receipt"], 16) for change in page["changes"]]
        cursor = page["next"]
    return receipts, cursor


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    clock = SystemClock()
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    server = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None)), WebLimits(cors_origins=(FRIEND,)))
    server.serve(FeedService(Feed(objects, log, clock), clock, stall=_STALL).handlers())
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
        yield Site(client, log, server, tmp_path)
    await server.close()
    for store in (log, objects):
        await store.close()


async def test_what_happened_and_what_happens_comes_with_a_cursor_that_goes_on(site: Site) -> None:
    await site.store(1, 2)
    async with site.client.ws_connect(URL) as ws:
        first = await said(ws)
        assert first["changes"] == []
        receipts, cursor = await numbers(ws, 2)
        assert (receipts, (await page(site, since=cursor))["changes"]) == ([1, 2], [])
        await site.store(3)
        receipts, cursor = await numbers(ws, 1)
        assert receipts == [3]
    await site.store(4)
    async with site.client.ws_connect(f"{URL}?since={cursor}") as ws:
        assert (await numbers(ws, 1))[0] == [4]
        # As a browser says a page of the feed: the same JSON.
        assert (await page(site, since=cursor))["changes"][0]["receipt"] == f"{4:032x}"
    async with site.client.ws_connect(f"{URL}?since=now") as ws:
        await said(ws)
        await site.store(5)
        assert (await numbers(ws, 1))[0] == [5]


async def page(site: Site, **query: str) -> dict[str, Any]:
    async with site.client.get(URL, params=query) as response:
        body: dict[str, Any] = await response.json()
        return body


async def test_it_answers_pings_and_closing_and_ignores_what_it_is_told(site: Site) -> None:
    async with site.client.ws_connect(URL, autoping=False) as ws:
        await said(ws)
        await ws.ping(b"are you there")
        pong = await ws.receive(timeout=5)
        assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"are you there")
        await ws.send_str("hello")
        await site.store(1)
        assert (await numbers(ws, 1))[0] == [1]
        assert await ws.close()
        assert ws.close_code == 1000
    # A message that is longer than any reader's is not read.
    async with site.client.ws_connect(URL) as ws:
        await said(ws)
        await ws.send_bytes(bytes(1 << 20))
        assert (await ws.receive(timeout=5)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert ws.close_code == 1009


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://stranger.example", 403),
        ("http://127.0.0.1:1", 403),
        ("http://localhost", 403),
        ("null", 403),
        (FRIEND, 101),
        ("own", 101),
        (None, 101),
    ],
)
async def test_a_page_of_a_stranger_does_not_read_it(site: Site, origin: str | None, status: int) -> None:
    own = f"http://127.0.0.1:{site.server.port}"
    headers = {} if origin is None else {"Origin": own if origin == "own" else origin}
    if status == 101:
        async with site.client.ws_connect(URL, headers=headers) as ws:
            assert (await said(ws))["changes"] == []
        return
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await site.client.ws_connect(URL, headers=headers)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Sec-WebSocket-Version": "12"}, ""),
        ({"Sec-WebSocket-Key": "short"}, ""),
        ({"Connection": "keep-alive"}, ""),
        ({}, "?since=junk"),
    ],
)
async def test_what_is_no_handshake_is_refused_in_words(site: Site, headers: dict[str, str], query: str) -> None:
    right = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    async with site.client.get(URL + query, headers=right | headers) as response:
        assert response.status == 400
        assert "handshake" in await response.text() or "cursor" in await response.text()


async def test_readers_of_all_kinds_are_counted_together(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_service, "MOST_READERS", 2)
    first, second = await site.client.ws_connect(URL), await site.client.ws_connect(URL)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await site.client.ws_connect(URL)
    assert (refused.value.status, "Retry-After" in (refused.value.headers or {})) == (503, True)
    await first.close()
    async with asyncio.timeout(5):
        while True:
            try:
                third = await site.client.ws_connect(URL)
                break
            except aiohttp.WSServerHandshakeError:
                await asyncio.sleep(0.05)
    await second.close()
    await third.close()


async def test_a_reader_that_takes_nothing_is_closed_with_a_code_and_goes_on_with_its_cursor(site: Site) -> None:
    for start in range(0, _MANY, 100):
        await site.store(*range(start, start + 100), reason="x" * 20_000)
    async with site.client.ws_connect(URL, max_msg_size=0, timeout=aiohttp.ClientWSTimeout(ws_receive=60)) as ws:
        first = await said(ws)
        transport = ws._response.connection and ws._response.connection.transport
        assert transport is not None
        transport.pause_reading()
        await asyncio.sleep(1.5 * _STALL)
        transport.resume_reading()
        total, cursor = 0, first["next"]
        async for message in ws:
            answer = json.loads(message.data)
            total, cursor = total + len(answer["changes"]), answer["next"]
        assert ws.close_code == TOO_SLOW
        assert 0 < total < _MANY
    async with site.client.ws_connect(f"{URL}?since={cursor}", max_msg_size=0) as ws:
        rest, _ = await numbers(ws, _MANY - total)
        assert rest == list(range(total, _MANY))


async def test_it_ends_with_a_code_when_the_process_drains(site: Site) -> None:
    async with site.client.ws_connect(URL) as ws:
        await said(ws)
        draining = asyncio.create_task(site.server.drain())
        closed = await ws.receive(timeout=5)
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, GOING_AWAY)
        await asyncio.wait_for(draining, 10)


@pytest.mark.parametrize(("loop", "code"), [(True, TRY_AGAIN_LATER), (False, INTERNAL_ERROR)])
async def test_when_the_bucket_cannot_be_read_it_ends_with_a_code(site: Site, loop: bool, code: int) -> None:
    # The beginning of the feed lies in the bucket.
    bucket = site.folder / "objects"
    shutil.rmtree(bucket)
    if loop:
        bucket.symlink_to(bucket)
    else:
        bucket.write_bytes(b"")
    async with site.client.ws_connect(URL) as ws:
        await said(ws)
        closed = await ws.receive(timeout=10)
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, code)


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here")
async def test_another_implementation_reads_it(site: Site) -> None:
    """Node's own WebSocket, which browsers have too."""
    await site.store(1, 2)
    script = """
        const ws = new WebSocket(process.argv[1]);
        let found = [];
        ws.onerror = (e) => { console.log("error", e.message); process.exit(1); };
        ws.onmessage = (e) => {
            found = found.concat(JSON.parse(e.data).changes.map((one) => parseInt(one.receipt, 16)));
            if (found.length == 2) ws.close(1000);
        };
        ws.onclose = (e) => console.log(JSON.stringify([found, e.code, e.wasClean]));
    """
    url = f"ws://127.0.0.1:{site.server.port}{URL}"
    command = ("node", "--experimental-websocket", "-e", script, url)
    running = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(running.communicate(), 20)
    assert json.loads(out) == [[1, 2], 1000, True]
