"""Links for people outside at a real server on a real log: each way in and out, counted; and a log that is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from gantry.common.access import CallerRole, Facts, Identity, Means, Verb
from gantry.common.access.sessions import Grant, Session, SessionLimits
from gantry.common.access.share_passes import SharePass, visitor
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import ManualClock
from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.log import EventLog
from gantry.common.runtime.followed_shares import FRESH_SECONDS, FollowedShares
from gantry.common.runtime.restricted_index import RestrictedIndex
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.access import AccessControl, Caller, Tokens
from gantry.common.web.callers import may
from gantry.common.web.routes import Resource
from gantry.common.web.server import CALLER, WebServer
from gantry.common.web.sessions import Sessions
from gantry.common.web.shares import SealedShares
from gantry.services.indexer.entries import entry_of
from gantry.services.query.app import build_page, build_web
from gantry.services.query.sharing.web import OF_SHARES, ShareService, no_shares
from tests.support.objects import data_set, file_bytes
from tests.support.web import event_of

URL = "http://127.0.0.1"
DAY_US = 24 * 3600 * 1_000_000
ASKED = {"studies": ["1.2.1"], "expires": "2023-11-20T00:00:00Z", "reason": "second opinion"}
PASSWORD = "seven blue horses"
LIMITS = SessionLimits(idle=1800.0, longest=36_000.0)


class Away:
    """The log, which can be away."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.away = False

    async def ends(self, topic: str) -> dict[int, int]:
        if self.away:
            raise DependencyUnavailable("event log", "away")
        return await self._log.ends(topic)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


@dataclass
class Desk:
    """The server, and who asks."""

    log: Any
    clock: ManualClock = field(default_factory=ManualClock)
    metrics: Metrics = field(default_factory=Metrics)
    sessions: Sessions | None = None
    port: int = 0

    async def ask(self, method: str, path: str, **sent: Any) -> tuple[int, str, Any]:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.request(method, url, allow_redirects=False, **sent) as answer:
            return answer.status, await answer.text(), answer.headers

    async def shared(self, **fields: Any) -> tuple[str, str]:
        """The name of a link, and its path."""
        status, text, _ = await self.ask("POST", "/dicom-web/shares", json={**ASKED, **fields})
        assert status == 201, text
        answer = json.loads(text)
        return answer["share"], answer["link"].removeprefix(URL)

    async def enter(self, path: str, password: str = "", **headers: str) -> tuple[int, str, Any]:
        return await self.ask("POST", path, data={"password": password}, headers=headers)

    async def let_in(self, path: str) -> dict[str, str]:
        status, text, headers = await self.enter(path)
        assert status == 303, text
        return {"Cookie": headers["Set-Cookie"].partition(";")[0]}

    async def sees(self, brings: dict[str, str]) -> int:
        return (await self.ask("GET", "/dicom-web/studies", headers=brings))[0]

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"gantry_{name}_total", labels) or 0.0


@asynccontextmanager
async def serving(folder: Path, *, login: bool = False) -> AsyncIterator[Desk]:
    (folder / "keys").write_text("1" * 32)
    index, log = await open_sqlite_index(folder / "index.db"), await open_sqlite_log(folder / "log.db", ManualClock())
    desk = Desk(Away(log))
    data = file_bytes(data_set(study="1.2.1", instance="1.2.1.1", patient="P1"))
    event = event_of(data, 0)
    await index.apply([entry_of(event, data[event.data_set_offset :])])
    sealed, followed = SealedShares(folder / "keys", URL, desk.clock), FollowedShares(desk.log, desk.clock)
    sealed.standing = followed.standing
    if login:
        desk.sessions = Sessions(folder / "keys", URL, "sso", LIMITS, desk.clock)
    access = AccessControl(Tokens(None), shares=sealed, sessions=desk.sessions)
    server = WebServer("127.0.0.1", 0, {}, access)
    seen = RestrictedIndex(index)
    service = ShareService(
        sealed, followed, seen, desk.clock, desk.metrics, 30 * DAY_US, ("loopback",), (), desk.sessions
    )
    server.serve(
        {**build_web(seen, None), **build_page(None, "A", 1, 0.0, desk.sessions, sealed), **service.handlers()}
    )
    following = asyncio.create_task(followed.run())
    try:
        await server.start()
        desk.port = server.port
        yield desk
    finally:
        await end_tasks(following)
        await server.close()
        await index.close()
        await log.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with serving(tmp_path) as fixture:
        yield fixture


async def test_each_way_in_and_each_refusal_is_counted(desk: Desk) -> None:
    share, path = await desk.shared(openings=1)
    assert desk.counted("shares", change="created") == 1
    assert (await desk.enter("/s/nothing"))[0] == 404
    assert (await desk.enter(path))[0] == 303
    assert (await desk.enter(path))[0] == 410
    assert (await desk.ask("DELETE", f"/dicom-web/shares/{share}"))[0] == 204
    assert desk.counted("shares", change="revoked") == 1
    assert (await desk.enter(path))[0] == 410
    _, locked = await desk.shared(password=PASSWORD)
    # One after another, until it is closed for good: an interval for each five.
    for round_ in range(10):
        for number in range(5):
            status, text, _ = await desk.enter(locked, f"wrong {number}")
            assert (status, "not the password" in text) == (403, True), round_
        if round_ < 9:
            status, text, headers = await desk.enter(locked, PASSWORD)
            assert (status, "in 16 minutes" in text or "in 15 minutes" in text) == (429, True)
            desk.clock.advance(float(headers["Retry-After"]))
    assert (await desk.enter(locked, PASSWORD))[0] == 410
    _, last = await desk.shared()
    desk.clock.advance(7 * 24 * 3600.0)
    assert (await desk.enter(last))[0] == 410
    expected = {"opened": 1, "unknown": 1, "used-up": 1, "revoked": 1, "wrong-password": 50, "too-many-tries": 9}
    for result, count in {**expected, "closed": 1, "expired": 1, "signed-in": 0}.items():
        assert desk.counted("share_openings", result=result) == count, result


async def test_nobody_is_shown_anything_while_it_is_not_known_whether_the_link_stands(desk: Desk) -> None:
    _, path = await desk.shared()
    brings = await desk.let_in(path)
    assert await desk.sees(brings) == 200
    desk.log.away = True
    desk.clock.advance(FRESH_SECONDS)
    assert await desk.sees(brings) == 200
    desk.clock.advance(0.1)
    assert await desk.sees(brings) == 503
    assert (await desk.enter(path))[0] == 503
    desk.log.away = False
    assert await desk.sees(brings) == 200


async def test_opening_that_nobody_was_let_in_by_shows_nothing(desk: Desk, tmp_path: Path) -> None:
    """As of a link whose openings a restored log does not know."""
    share, path = await desk.shared()
    assert await desk.sees(await desk.let_in(path)) == 200
    sealed = SealedShares(tmp_path / "keys", URL, desk.clock)
    until = desk.clock.now_us() / 1e6 + 60
    for ticket in (SharePass(share, "never", until), SharePass("nothing", "o", until)):
        assert await desk.sees({"Cookie": sealed.sealed(ticket).partition(";")[0]}) == 403


def test_visitor_may_nothing_by_its_name() -> None:
    """Whatever name somebody writes into `http.may_*`."""
    request = make_mocked_request("GET", "/")
    identity = visitor("s1")
    request[CALLER] = Caller(None, identity.name, identity=identity)
    assert not may(request, Verb.DELETE, {identity.name})
    request[CALLER] = Caller(None, identity.name, identity=Identity("x", identity.name, Means.TOKEN))
    assert may(request, Verb.DELETE, {identity.name})


async def test_who_is_signed_in_goes_on_as_who_he_is(tmp_path: Path) -> None:
    async with serving(tmp_path, login=True) as desk:
        _, path = await desk.shared()
        assert desk.sessions is not None
        jane = Identity("s1", "sso:jane", Means.ISSUER, frozenset((CallerRole.RADIOLOGIST,)), Facts(), "sso")
        now = desk.sessions.now()
        cookies = desk.sessions.sealed(Session(jane, "n", now + 300), Grant("s1", "n", now, now + 1800, now + 300, "r"))
        session = "; ".join(cookie.partition(";")[0] for cookie in cookies)
        status, text, headers = await desk.enter(path, Cookie=session)
        assert (status, "signed in" in text, headers.get("Set-Cookie")) == (409, True, None)
        assert desk.counted("share_openings", result="signed-in") == 1
        brings = await desk.let_in(path)
        both = {"Cookie": f"{session}; {brings['Cookie']}"}
        # As a radiologist, who may send, as no visitor may.
        assert (await desk.ask("GET", "/dicom-web/destinations", headers=brings))[1].startswith("a link gives access")
        assert "not served" in (await desk.ask("GET", "/dicom-web/destinations", headers=both))[1]


async def test_page_is_for_visitors_and_sends_all_others_to_the_login(tmp_path: Path) -> None:
    async with serving(tmp_path, login=True) as desk:
        brings = await desk.let_in((await desk.shared())[1])
        status, _, headers = await desk.ask("GET", "/?study=1.2.1")
        assert (status, headers["Location"].startswith("/login")) == (303, True)
        assert (await desk.ask("GET", "/?study=1.2.1", headers=brings))[0] == 200
        for sent, login in ((brings, False), ({}, True)):
            _, text, _ = await desk.ask("GET", "/viewer/config.json", headers=sent)
            assert (json.loads(text)["login"], json.loads(text).get("share")) == (login, None if login else "look")
        takes = await desk.let_in((await desk.shared(download=True))[1])
        assert json.loads((await desk.ask("GET", "/viewer/config.json", headers=takes))[1])["share"] == "take"
        desk.clock.advance(7 * 24 * 3600.0)
        assert (await desk.ask("GET", "/?study=1.2.1", headers=brings))[0] == 303
        assert await desk.sees(brings) == 403


async def test_page_of_a_link_that_is_over_has_the_browser_forget_it(desk: Desk) -> None:
    share, path = await desk.shared()
    assert (await desk.ask("DELETE", f"/dicom-web/shares/{share}"))[0] == 204
    status, text, headers = await desk.ask("GET", path)
    assert (status, "taken back" in text, "Max-Age=0" in headers["Set-Cookie"]) == (410, True, True)


async def test_list_says_what_became_of_links_and_no_secret(desk: Desk) -> None:
    share, path = await desk.shared(password=PASSWORD, openings=3)
    for number in range(5):
        await desk.enter(path, f"wrong {number}")
    _, text, _ = await desk.ask("GET", "/dicom-web/shares")
    (row,) = json.loads(text)["shares"]
    assert (row["share"], row["state"], row["wrongPasswords"], row["password"]) == (share, "too-many-tries", 5, True)
    assert (row["by"], row["openings"], row["opened"]) == ("loopback", 3, 0)
    assert "scrypt" not in text
    assert path.removeprefix("/s/") not in text


async def test_without_a_key_nothing_can_be_shared() -> None:
    server = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None)))
    server.serve(dict.fromkeys(OF_SHARES, no_shares))
    await server.start()
    try:
        for method, path in (("GET", "/s/x"), ("POST", "/dicom-web/shares")):
            async with aiohttp.request(method, f"http://127.0.0.1:{server.port}{path}") as answer:
                assert answer.status in (403, 404)
                assert Resource.SHARE in OF_SHARES
    finally:
        await server.close()
