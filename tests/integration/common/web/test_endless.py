"""Answers that go on, at a real server: they end when their caller may not have them any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from gantry.common.access import CallerRole, Identity, Means
from gantry.common.access.sessions import Grant, Session, SessionLimits
from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import ManualClock, SystemClock
from gantry.common.runtime.feed import Feed
from gantry.common.web import endings
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.server import WebServer
from gantry.common.web.sessions import Sessions
from gantry.services.query.app import build_web
from gantry.services.query.changes import ChangeReader
from gantry.services.query.feed_service import FeedService

URL = "http://127.0.0.1"
RITA = Identity("1", "sso:rita", Means.ISSUER, frozenset((CallerRole.RADIOLOGIST,)), issuer="sso")
STREAMS = {"studies": "/dicom-web/changes/studies", "feed": "/dicom-web/changes?since=now"}


class Site:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokens = folder / "tokens"
        self.tokens.write_text(
            "viewer:the-token-of-a-viewer roles=radiologist\nother:the-token-of-another roles=service\n"
        )
        self.keys = folder / "keys"
        self.keys.write_text("k" * 40)
        self.clock = ManualClock(int(time.time() * 1e6))
        self.stack = AsyncExitStack()

    async def start(self) -> None:
        clock = SystemClock()
        index = await open_sqlite_index(self.folder / "index.db")
        self.stack.push_async_callback(index.close)
        log = await open_sqlite_log(self.folder / "log.db", clock)
        self.stack.push_async_callback(log.close)
        self.sessions = Sessions(self.keys, URL, "sso", SessionLimits(1800.0, 36_000.0), self.clock)
        server = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(self.tokens), sessions=self.sessions))
        changes = ChangeReader(log, clock)
        objects = await open_file_store(self.folder / "objects", low_water=0)
        self.stack.push_async_callback(objects.close)
        feed = FeedService(Feed(objects, log, clock), clock)
        server.serve({**build_web(index, None, changes), **feed.handlers()})
        await server.start()
        self.stack.push_async_callback(server.close)
        self.stack.push_async_callback(changes.close)
        self.client = aiohttp.ClientSession(f"http://127.0.0.1:{server.port}")
        await self.stack.enter_async_context(self.client)

    async def stream(self, path: str, **headers: str) -> aiohttp.ClientResponse:
        response = await self.client.get(path, headers={"Accept": "text/event-stream", **headers})
        assert response.status == 200, await response.text()
        await response.content.readline()
        return response

    def session(self) -> str:
        """A Cookie header of somebody who signed in, for a minute."""
        now = self.sessions.now()
        session = Session(RITA, "n", now + 60, "sid", now)
        cookies = self.sessions.sealed(session, Grant("1", "n", now, now + 60, now + 60, "", "sid"))
        return "; ".join(cookie.partition(";")[0] for cookie in cookies)


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(endings, "LOOK_AGAIN_SECONDS", 0.05)
    made = Site(tmp_path)
    async with made.stack:
        await made.start()
        yield made


async def ended(response: aiohttp.ClientResponse) -> bool:
    """Whether it ends, in order, within some seconds."""
    try:
        async with asyncio.timeout(5):
            await response.read()
    except TimeoutError:
        return False
    return True


async def goes_on(response: aiohttp.ClientResponse) -> bool:
    try:
        async with asyncio.timeout(0.5):
            await response.content.read(1 << 20)
            while not response.content.at_eof():
                await response.content.readany()
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("name", STREAMS)
async def test_stream_ends_when_its_token_counts_no_longer_and_others_go_on(site: Site, name: str) -> None:
    leaves = await site.stream(STREAMS[name], Authorization="Bearer the-token-of-a-viewer")
    stays = await site.stream(STREAMS[name], Authorization="Bearer the-token-of-another")
    assert await goes_on(leaves)
    site.tokens.write_text("other:the-token-of-another roles=service\n")
    assert await ended(leaves)
    assert await goes_on(stays)


async def test_stream_ends_when_a_role_is_taken_away(site: Site) -> None:
    stream = await site.stream(STREAMS["studies"], Authorization="Bearer the-token-of-a-viewer")
    site.tokens.write_text("viewer:the-token-of-a-viewer roles=referrer\n")
    assert await ended(stream)


@pytest.mark.parametrize("by", ["time", "provider"])
async def test_stream_ends_with_the_session_of_its_browser(site: Site, by: str) -> None:
    stream = await site.stream(STREAMS["studies"], Cookie=site.session(), **{"Sec-Fetch-Site": "same-origin"})
    assert await goes_on(stream)
    if by == "time":
        site.clock.advance(61)
    else:
        site.sessions.ended = lambda issuer, subject, sid, began: sid == "sid"
    assert await ended(stream)


async def test_web_socket_ends_when_its_token_counts_no_longer(site: Site) -> None:
    headers = {"Authorization": "Bearer the-token-of-a-viewer"}
    async with site.client.ws_connect("/dicom-web/changes?since=now", headers=headers) as socket:
        await socket.receive(5)
        site.tokens.write_text("other:the-token-of-another roles=service\n")
        async with asyncio.timeout(5):
            while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert socket.close_code is not None
