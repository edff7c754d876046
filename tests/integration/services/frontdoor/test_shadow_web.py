"""DICOMweb in shadow mode before real servers: the caller gets Gantry's answer, and the other archive's is compared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from gantry.common.adapters.files import open_file_store
from gantry.common.clock import SystemClock
from gantry.common.config.shadow_sections import ShadowSettings
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.routes import Match, Resource
from gantry.services.frontdoor.routing import Pool
from gantry.services.frontdoor.shadow.overhearing import Room
from gantry.services.frontdoor.shadow.shadowing import Shadow
from gantry.services.frontdoor.shadow.web import WebMirror, WebShadow
from gantry.services.frontdoor.sides import GantrySide
from tests.integration.common.net.conftest import eventually
from tests.integration.services.frontdoor.behind import behind
from tests.integration.services.frontdoor.test_web import BIG, Street
from tests.support.ports import free_port
from tests.support.wire import CT

MATCH = {"0020000D": {"vr": "UI", "Value": ["1.2.3"]}, "00081030": {"vr": "LO", "Value": ["Chest"]}}
Answers = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def matches(*answers: Any) -> web.Response:
    return web.Response(body=json.dumps(answers).encode(), content_type="application/dicom+json")


@dataclass
class Old:
    """The other archive's web server: `answer` decides."""

    port: int = 0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    found: list[Any] = field(default_factory=lambda: [MATCH])
    answer: Answers | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append((request.raw_path, dict(request.headers)))
        return await self.answer(request) if self.answer is not None else matches(*self.found)


@dataclass
class Shadowed:
    session: aiohttp.ClientSession
    old: Old
    metrics: Metrics
    room: Room
    shadow: Shadow

    def counted(self, metric: str, *labels: str) -> float:
        return float(getattr(self.metrics, metric).labels(*labels)._value.get())

    async def ask(self, path: str = "studies", **headers: str) -> tuple[int, bytes]:
        async with self.session.get(URL(f"/dicom-web/{path}", encoded=True), headers=headers) as response:
            return response.status, await response.read()


def shadow_of(settings: ShadowSettings, folder: Path, metrics: Metrics) -> Shadow:
    """Shadow mode where only the web server of the other archive is known."""
    behind_ = behind({Pool.MIXED: [1]}, metrics)
    side = GantrySide(behind_, {CT}, settings, SystemClock())
    return Shadow(settings, side, None, {CT}, lambda: open_file_store(folder / "store"), SystemClock(), metrics)


Opened = Callable[..., Awaitable[Shadowed]]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    street, old = Street(), Old()
    runner = web.ServerRunner(web.Server(old.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    old.port = runner.addresses[0][1]
    (tmp_path / "token").write_text("theirs\n")

    async def opened_one(ours: Answers | None = None, **settings: Any) -> Shadowed:
        metrics = Metrics()
        fields = {"url": f"http://127.0.0.1:{old.port}/pacs", "token_file": tmp_path / "token", "timeout": 1.0}
        shadow = ShadowSettings.model_validate({**fields, "again_after": 0, **settings})
        mirrors = shadow_of(shadow, tmp_path, metrics)
        street.forwarder.shadow, street.forwarder.shadow_stores = mirrors.web, mirrors.web_stores
        street.stack.push_async_callback(mirrors.close)
        running = asyncio.create_task(mirrors.run())
        street.stack.push_async_callback(end_tasks, running)
        if mirrors.spool is not None:
            await eventually(lambda: mirrors.spool is not None and mirrors.spool.is_open)

        async def answered(request: web.BaseRequest, match: Match) -> web.StreamResponse:
            return await ours(request) if ours is not None else matches(MATCH)

        behind = await street._server(dict.fromkeys(Resource, answered), [ip_network("127.0.0.1")])
        for pool in (Pool.INGEST, Pool.QUERY, Pool.RETRIEVE):
            street.backends.update(pool, [("127.0.0.1", behind.port)])
        street.stack.push_async_callback(street.forwarder.close)
        door = await street._server(street.forwarder.handlers(), [])
        session = aiohttp.ClientSession(f"http://127.0.0.1:{door.port}")
        await street.stack.enter_async_context(session)
        return Shadowed(session, old, metrics, mirrors._room, mirrors)

    yield opened_one
    await street.stack.aclose()
    await runner.cleanup()


async def test_a_search_is_asked_of_the_other_one_too_and_compared(opened: Opened) -> None:
    site = await opened()
    status, body = await site.ask("studies?PatientID=1%2F2", Authorization="Bearer ours", Cookie="session=secret")
    assert (status, json.loads(body)) == (200, [MATCH])
    await eventually(lambda: site.counted("shadow_compared", "QIDO-RS", "same") == 1)
    ((path, headers),) = site.old.asked
    assert path == "/pacs/studies?PatientID=1%2F2"
    # What the caller shows to Gantry is not for the other archive.
    assert headers["Authorization"] == "Bearer theirs"
    assert "Cookie" not in headers
    assert site.counted("shadow_reached", "") == 1
    assert site.room.used == 0


async def test_what_differs_is_told_by_its_kind(opened: Opened) -> None:
    site = await opened()
    site.old.found = [{**MATCH, "00081030": {"vr": "LO", "Value": ["Thorax"]}}]
    assert (await site.ask())[0] == 200
    await eventually(lambda: site.counted("shadow_differences", "QIDO-RS", "attributes") == 1)


async def test_what_is_only_late_is_the_same_at_the_second_look(opened: Opened) -> None:
    site = await opened(again_after=0.2)
    site.old.found = []
    await site.ask()
    await eventually(lambda: len(site.old.asked) == 1)
    await eventually(lambda: site.room.used == 0)  # also while the second look is waited for
    assert site.counted("shadow_compared", "QIDO-RS", "same") == 0
    site.old.found = [MATCH]
    await eventually(lambda: site.counted("shadow_compared", "QIDO-RS", "same") == 1)
    assert len(site.old.asked) == 2


async def test_a_picture_is_not_asked_twice_and_what_is_stored_only_where_it_may_be(opened: Opened) -> None:
    site = await opened(asks=("find",))
    async with site.session.post("/dicom-web/studies", data=b"x") as response:
        await response.read()
    await site.ask("studies/1.2/rendered")
    await site.ask("studies", **{"If-None-Match": '"1"'})
    assert site.counted("shadow_not_mirrored", "HTTP") == 2
    assert site.counted("shadow_not_mirrored", "STOW-RS") == 1
    assert site.old.asked == []


async def hangs(request: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError


async def endless(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(bytes(1 << 18))


async def breaks_off(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    raise ConnectionResetError


async def rubbish(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="<html>")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(hangs, "timeout"), (endless, "too_long"), (breaks_off, "aborted"), (rubbish, "unreadable")],
)
async def test_the_caller_does_not_notice_and_it_is_counted(opened: Opened, answer: Answers, reason: str) -> None:
    site = await opened(memory=1)
    site.old.answer = answer
    async with asyncio.timeout(3):
        assert (await site.ask())[0] == 200
    await eventually(lambda: site.counted("shadow_given_up", reason) == 1)
    assert site.room.used == 0
    assert (await site.ask())[0] == 200


async def test_an_archive_that_is_away_is_told(opened: Opened) -> None:
    site = await opened(url=f"http://127.0.0.1:{free_port()}/pacs")
    assert (await site.ask())[0] == 200
    await eventually(lambda: site.counted("shadow_given_up", "unreachable") == 1)
    assert site.counted("shadow_reached", "") == 0


async def test_an_answer_that_is_too_long_is_given_whole_and_not_compared(opened: Opened) -> None:
    async def ours(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=BIG)

    site = await opened(ours, memory=1)
    assert await site.ask("studies/1.2") == (200, BIG)
    assert site.counted("shadow_given_up", "too_long") == 1
    assert (site.room.used, site.old.asked) == (0, [])


async def test_there_are_no_more_at_once_than_there_may_be(opened: Opened) -> None:
    site = await opened(associations=1)
    site.old.answer = hangs
    for _ in range(3):
        assert (await site.ask())[0] == 200
    assert site.counted("shadow_given_up", "busy") == 2


async def test_what_is_not_late_has_no_second_look(opened: Opened) -> None:
    async def frames(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"ours", content_type="application/octet-stream")

    async def others(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"theirs", content_type="application/octet-stream")

    site = await opened(frames, again_after=600)
    site.old.answer = others
    await site.ask("studies/1.2/series/1.3/instances/1.4/frames/1")
    await eventually(lambda: site.counted("shadow_differences", "WADO-RS frames", "content") == 1)


async def test_the_other_one_leads_nowhere_and_leaves_nothing(opened: Opened) -> None:
    async def elsewhere(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/pacs/caught", "Set-Cookie": "known=1; Path=/"})

    site = await opened()
    site.old.answer = elsewhere
    for times in (1, 2):
        await site.ask()
        await eventually(lambda times=times: site.counted("shadow_differences", "QIDO-RS", "status") == times)
    assert [path for path, _ in site.old.asked] == ["/pacs/studies"] * 2
    assert not any("Cookie" in headers for _, headers in site.old.asked)


async def test_caller_who_goes_away_is_not_compared(opened: Opened) -> None:
    going, may = asyncio.Event(), asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"[")
        going.set()
        await may.wait()
        while True:
            await response.write(bytes(1 << 16))

    site = await opened(slow)
    asking = asyncio.create_task(site.ask())
    await going.wait()
    asking.cancel()
    may.set()
    await eventually(lambda: site.counted("shadow_given_up", "unanswered") == 1)
    assert (site.room.used, site.old.asked) == (0, [])


async def test_nothing_that_goes_wrong_in_the_shadow_gets_to_the_caller(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await opened()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    faults = (WebShadow, "_mirror"), (WebMirror, "_began"), (WebMirror, "_hold_response_bytes"), (WebMirror, "_ended")
    for where, name in faults:
        with monkeypatch.context() as patched:
            patched.setattr(where, name, broken)
            assert await site.ask() == (200, json.dumps([MATCH]).encode())
