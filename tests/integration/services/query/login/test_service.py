"""Login at a real server of ours and an issuer that also gives what it should not."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest
from aiohttp import web

from gantry.common.access import RoleTable
from gantry.common.access.sessions import SessionLimits
from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import ManualClock
from gantry.common.config.access_sections import AccessSettings
from gantry.common.runtime.followed_sessions import FollowedSessions
from gantry.common.runtime.restored_log import RestoredLog
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.issuers import IssuerTokens
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import CALLER, WebServer
from gantry.common.web.sessions import Sessions
from gantry.services.query.login.backchannel import BackChannel
from gantry.services.query.login.exchange import OurClient
from gantry.services.query.login.provider import Provider
from gantry.services.query.login.service import LoginService, no_login
from gantry.services.query.login.tokens import TokenReader
from gantry.services.query.viewer.web import Page
from tests.support.issuer import TestIssuer

LOGOUT: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}


class GivingIssuer(TestIssuer):
    """Its token endpoint gives `given`, and notes what it was asked; it gives a `nonce` that it was told."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, str]] = []
        self.status = 200
        self.nonce = ""
        self.claims: dict[str, Any] = {"roles": ["radiologist"], "preferred_username": "jane"}
        self.id_claims: dict[str, Any] = {}
        self.refresh = "refresh-1"
        self.id_token: str | None = None

    async def give(self, request: web.Request) -> web.Response:
        self.asked.append({name: str(value) for name, value in (await request.post()).items()})
        if self.status != 200:
            return web.json_response({"error": "invalid_grant"}, status=self.status)
        identity = self.token(**{"aud": "client", "nonce": self.nonce, **self.id_claims})
        answer = {
            "token_type": "Bearer",
            "access_token": self.token(**self.claims),
            "id_token": identity if self.id_token is None else self.id_token,
            "refresh_token": self.refresh,
        }
        return web.json_response(answer)


class LoginServer:
    def __init__(self, issuer: GivingIssuer, folder: Path) -> None:
        self.issuer = issuer
        self.clock = ManualClock(int(time.time() * 1e6))
        self.metrics = Metrics()
        self.folder = folder
        self.keys = folder / "keys"
        self.keys.write_text("1" * 32)
        self.stack = AsyncExitStack()

    async def start(self) -> None:
        named = {"name": "sso", "url": self.issuer.url, "audience": ["gantry"]}
        settings = AccessSettings.model_validate({"issuers": [named], "keys_deadline": 1.0})
        tokens = IssuerTokens(settings, self.clock, self.metrics)
        sessions = Sessions(self.keys, "http://127.0.0.1:1", "sso", SessionLimits(1800.0, 36_000.0), self.clock)
        server = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None), signed=tokens, sessions=sessions))
        self.client_of = OurClient("client", "http://127.0.0.1:1", ("openid",))
        provider = Provider(settings.issuers[0], self.clock, 600.0, 1.0)
        reader = TokenReader(tokens, "sso", RoleTable(), from_id_token=False)
        log = await open_sqlite_log(self.folder / "log.db", self.clock)
        self.stack.push_async_callback(log.close)
        objects = await open_file_store(self.folder / "objects")
        self.stack.push_async_callback(objects.close)
        self.restored = RestoredLog(objects, self.clock)
        followed = FollowedSessions(log, self.clock, 36_000.0, RestoredLog(objects, self.clock))
        sessions.ended = followed.has
        following = asyncio.create_task(followed.run())
        self.stack.push_async_callback(end_tasks, following)
        channel = BackChannel(followed, self.client_of, reader, "sso", self.clock, self.metrics, 5.0)
        login = LoginService(sessions, provider, self.client_of, reader, self.metrics, channel)
        server.serve(
            {Resource.SEARCH_STUDIES: self._search, Resource.PAGE: Page(sessions=sessions), **login.handlers()}
        )
        await server.start()
        self.stack.push_async_callback(server.close)
        self.stack.push_async_callback(tokens.close)
        self.port = server.port
        jar = aiohttp.CookieJar(unsafe=True)
        self.client = aiohttp.ClientSession(f"http://127.0.0.1:{server.port}", cookie_jar=jar)
        await self.stack.enter_async_context(self.client)

    async def _search(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        return web.Response(text=request[CALLER].name)

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        """Status, Location and text."""
        named = {"Sec-Fetch-Site": "same-origin", **headers} if method != "GET" else headers
        async with self.client.request(method, path, headers=named, allow_redirects=False) as response:
            return response.status, response.headers.get("Location", ""), await response.text()

    async def begin(self, path: str = "/login") -> dict[str, str]:
        status, location, text = await self.ask(path)
        assert status == 303, text
        query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        self.issuer.nonce = query["nonce"]
        return query

    async def come_back(self, state: str) -> tuple[int, str, str]:
        return await self.ask(f"/login/callback?code=c&state={state}")

    async def tell(self, token: str, path: str = "/login/backchannel", **headers: str) -> tuple[int, str]:
        """The provider posts a logout token, as no browser does."""
        kind = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        body = urlencode({"logout_token": token}) if token else ""
        async with aiohttp.ClientSession(f"http://127.0.0.1:{self.port}") as provider:
            async with provider.post(path, data=body, headers=kind) as response:
                return response.status, await response.text()

    def logout_token(self, **claims: Any) -> str:
        payload = {"aud": "client", "jti": secrets.token_hex(8), "sid": "sid-1", "events": LOGOUT, **claims}
        return self.issuer.token(kind="logout+jwt", **payload)

    async def sign_in(self, path: str = "/login") -> tuple[int, str, str]:
        return await self.come_back((await self.begin(path))["state"])

    def cookie(self, name: str) -> str:
        return next((cookie.value for cookie in self.client.cookie_jar if cookie.key == name), "")

    def counted(self, metric: str, result: str) -> float:
        return self.metrics.registry.get_sample_value(f"gantry_{metric}_total", {"result": result}) or 0.0


@pytest.fixture
async def issuer() -> AsyncIterator[GivingIssuer]:
    fixture = GivingIssuer()
    runner = web.AppRunner(app := web.Application(), shutdown_timeout=0.1)
    app.router.add_post("/token", fixture.give)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    endpoint = f"http://127.0.0.1:{port}/token"
    fixture.discovered = {"token_endpoint": endpoint, "authorization_endpoint": "http://127.0.0.1:2/auth"}
    async with fixture.serving():
        yield fixture
    await runner.cleanup()


@pytest.fixture
async def server(issuer: GivingIssuer, tmp_path: Path) -> AsyncIterator[LoginServer]:
    fixture = LoginServer(issuer, tmp_path)
    async with fixture.stack:
        await fixture.start()
        yield fixture


async def test_somebody_signs_in_and_comes_back_to_where_he_wanted(server: LoginServer) -> None:
    status, location, _ = await server.ask("/?q=doe")
    assert (status, location) == (303, "/login?to=%2F%3Fq%3Ddoe")
    status, location, text = await server.sign_in(location)
    assert (status, location) == (303, "http://127.0.0.1:1/?q=doe"), text
    assert await server.ask("/dicom-web/studies") == (200, "", "sso:jane")
    assert (await server.ask("/"))[0] == 200
    assert len(server.issuer.asked[0]["code_verifier"]) >= 43
    assert server.counted("logins", "signed-in") == 1.0


@pytest.mark.parametrize(
    ("claims", "id_claims", "status", "kind"),
    [
        ({}, {"nonce": "of another login"}, 400, "nonce"),
        ({}, {"nonce": None}, 400, "nonce"),
        ({}, {"aud": "another"}, 400, "token"),
        ({}, {"azp": "another"}, 400, "token"),
        ({}, {"sub": "u2"}, 400, "token"),
        ({"aud": "another"}, {}, 400, "token"),
        ({"exp": 1}, {}, 400, "clock"),
        ({}, {"nbf": 4_102_444_800}, 400, "clock"),
        ({"roles": ["cook"]}, {}, 403, "role"),
        ({"preferred_username": "x" * 60, "roles": ["patient"]}, {"iss": "https://evil.example"}, 400, "token"),
    ],
)
async def test_tokens_that_are_not_right_sign_nobody_in(
    server: LoginServer, claims: dict[str, Any], id_claims: dict[str, Any], status: int, kind: str
) -> None:
    server.issuer.claims |= claims
    server.issuer.id_claims = id_claims
    answered, _, text = await server.sign_in()
    assert (answered, server.counted("logins", kind)) == (status, 1.0), text
    assert not server.cookie("gantry-session")
    assert "cook" not in text
    assert (await server.ask("/dicom-web/studies"))[0] == 401


async def test_id_token_that_nobody_signed_signs_nobody_in(server: LoginServer) -> None:
    query = await server.begin()
    claims = {"iss": server.issuer.url, "aud": "client", "sub": "u1", "exp": time.time() + 60, "nonce": query["nonce"]}
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "none"}, claims)
    ]
    server.issuer.id_token = ".".join([*parts, ""])
    status, _, text = await server.come_back(query["state"])
    assert (status, "its algorithm is not allowed" in text) == (400, True)


async def test_state_is_of_this_browser_and_of_these_ten_minutes(server: LoginServer) -> None:
    query = await server.begin()
    assert (await server.come_back(query["state"][:-1] + "x"))[0] == 400
    assert (await server.come_back(""))[0] == 400
    server.clock.advance(601)
    status, _, text = await server.come_back(query["state"])
    assert (status, "not under way" in text) == (400, True)
    assert server.issuer.asked == []  # nothing of it reached the provider


async def test_session_that_somebody_brought_along_is_replaced(server: LoginServer) -> None:
    """No fixation: after a login everything in the browser is new."""
    await server.sign_in()
    before = [server.cookie(name) for name in ("gantry-session", "gantry-grant")]
    server.issuer.claims["preferred_username"] = "rita"
    await server.sign_in()
    assert await server.ask("/dicom-web/studies") == (200, "", "sso:rita")
    assert not set(before) & {server.cookie("gantry-session"), server.cookie("gantry-grant")}


async def test_provider_that_is_away_is_said_and_logins_begin_again_with_it(server: LoginServer) -> None:
    server.issuer.discovered["issuer"] = "https://evil.example"
    status, _, text = await server.ask("/login")
    assert (status, "cannot be reached" in text) == (503, True)
    del server.issuer.discovered["issuer"]
    query = await server.begin()
    server.issuer.status = 500
    assert (await server.come_back(query["state"]))[0] == 503
    server.issuer.status = 400
    status, _, text = await server.come_back((await server.begin())["state"])
    assert (status, "used before" in text) == (400, True)
    assert (server.counted("logins", "away"), server.counted("logins", "code")) == (2.0, 1.0)


async def test_session_from_before_a_restore_is_over_since_nobody_knows_who_was_signed_out(
    server: LoginServer,
) -> None:
    query = await server.begin()
    assert (await server.come_back(query["state"]))[0] == 303
    cookie = next(iter(server.client.cookie_jar))
    assert (await server.ask("/dicom-web/studies"))[0] == 200
    server.clock.advance(60)
    await server.restored.note()
    # A process that starts after it: the key, and so the cookie, is the same.
    await server.stack.aclose()
    server.clock.advance(1)
    await server.start()
    server.client.cookie_jar.update_cookies({cookie.key: cookie.value})
    async with asyncio.timeout(10):
        while (await server.ask("/dicom-web/studies"))[0] != 401:
            await asyncio.sleep(0.01)
    query = await server.begin()
    assert (await server.come_back(query["state"]))[0] == 303
    assert (await server.ask("/dicom-web/studies"))[0] == 200


async def test_session_is_over_as_well_where_the_process_ran_through_the_restore(server: LoginServer) -> None:
    await server.sign_in()
    assert (await server.ask("/dicom-web/studies"))[0] == 200
    server.clock.advance(60)
    await server.restored.note()
    server.clock.advance(31)  # it looks twice a minute
    async with asyncio.timeout(10):
        while (await server.ask("/dicom-web/studies"))[0] != 401:
            await asyncio.sleep(0.01)


async def test_session_goes_on_by_its_refresh_token_and_with_new_roles(server: LoginServer) -> None:
    await server.sign_in()
    assert (await server.ask("/login/renew", "POST"))[0] == 200
    assert len(server.issuer.asked) == 1  # the token is still good: nobody was asked
    server.clock.advance(400)
    assert (await server.ask("/dicom-web/studies"))[0] == 401
    server.issuer.claims |= {"preferred_username": "jane2", "exp": time.time() + 900}
    server.issuer.id_claims = {"exp": time.time() + 900, "nonce": None}
    server.issuer.refresh = "refresh-2"
    status, location, _ = await server.ask("/?q=x")
    assert (status, location) == (303, "/login/again?to=%2F%3Fq%3Dx")
    assert (await server.ask(location))[:2] == (303, "http://127.0.0.1:1/?q=x")
    assert server.issuer.asked[-1] == {
        "grant_type": "refresh_token",
        "refresh_token": "refresh-1",
        "client_id": "client",
    }
    assert await server.ask("/dicom-web/studies") == (200, "", "sso:jane2")
    server.clock.advance(520)
    server.issuer.status = 500  # away: later
    assert (await server.ask("/login/renew", "POST"))[0] == 503
    server.issuer.status = 400  # the refresh token was given up there
    assert (await server.ask("/login/renew", "POST"))[0] == 401
    assert server.issuer.asked[-1]["refresh_token"] == "refresh-2"
    assert not server.cookie("gantry-grant")
    assert server.counted("session_renewals", "anew") == 1.0


async def test_somebody_else_does_not_go_on_with_a_session(server: LoginServer) -> None:
    await server.sign_in()
    server.clock.advance(260)
    server.issuer.claims["sub"] = "u2"
    server.issuer.id_claims = {"sub": "u2"}
    assert (await server.ask("/login/renew", "POST"))[0] == 401


async def test_session_ends_when_nobody_uses_the_page(server: LoginServer) -> None:
    server.issuer.claims["exp"] = time.time() + 36_000
    server.issuer.refresh = ""
    await server.sign_in()
    server.clock.advance(1700)
    assert (await server.ask("/dicom-web/studies"))[0] == 200
    assert (await server.ask("/login/renew", "POST"))[0] == 200
    server.clock.advance(1700)
    assert (await server.ask("/dicom-web/studies"))[0] == 200
    server.clock.advance(101)
    assert (await server.ask("/dicom-web/studies"))[0] == 401
    assert (await server.ask("/login/renew", "POST"))[0] == 401
    assert (await server.ask("/"))[1].startswith("/login?to=")


async def test_refresh_token_does_not_outlast_what_is_idle(server: LoginServer) -> None:
    await server.sign_in()
    server.clock.advance(1801)
    assert (await server.ask("/login/renew", "POST"))[0] == 401
    assert len(server.issuer.asked) == 1  # it was not even tried


async def test_signing_out_ends_the_session_of_this_browser(server: LoginServer) -> None:
    await server.sign_in()
    assert json.loads((await server.ask("/login/session"))[2])["name"] == "jane"
    assert (await server.ask("/login/logout", "POST", Origin="https://evil.example"))[0] == 403
    assert (await server.ask("/login/session"))[0] == 200
    status, _, text = await server.ask("/login/logout", "POST")
    assert (status, json.loads(text)) == (200, {"location": "/login/out"})
    assert (await server.ask("/login/session"))[0] == 401
    assert (await server.ask("/dicom-web/studies"))[0] == 401
    assert "You are signed out" in (await server.ask("/login/out"))[2]


async def test_session_that_is_not_known_after_its_login_is_no_circle(server: LoginServer) -> None:
    await server.sign_in()
    server.keys.write_text("2" * 40)  # as if another process answered, which has other secrets
    status, location, text = await server.ask("/")
    assert (status, location) == (400, "")
    assert "login.session_key_file" in text


async def test_cookies_that_are_changed_or_endless_are_none(server: LoginServer) -> None:
    await server.sign_in()
    good = server.cookie("gantry-session")
    server.client.cookie_jar.clear()
    for value in (good[:-4] + "AAAA", good + "x" * 6000, "", "a.b.c.d.e"):
        assert (await server.ask("/dicom-web/studies", Cookie=f"gantry-session={value}"))[0] == 401
    assert (await server.ask("/dicom-web/studies", Cookie=f"gantry-session={good}"))[0] == 200


async def test_without_settings_there_is_no_login() -> None:
    server = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None)))
    server.serve(dict.fromkeys((Resource.LOGIN, Resource.SESSION), no_login))
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
            answers = await asyncio.gather(client.get("/login"), client.post("/login/renew"))
            assert [answer.status for answer in answers] == [404, 404]
    finally:
        await server.close()


async def test_provider_ends_a_session_and_nothing_brings_it_back(server: LoginServer) -> None:
    """OpenID Connect Back-Channel Logout 1.0: the session and its grant, wherever the cookies are by now."""
    server.issuer.id_claims = {"sid": "sid-1"}
    await server.sign_in()
    assert await server.tell(server.logout_token(sid="sid-2")) == (200, "")
    assert (await server.ask("/dicom-web/studies"))[0] == 200, "another session of the same person"
    assert await server.tell(server.logout_token()) == (200, "")
    assert (await server.ask("/dicom-web/studies"))[0] == 401
    assert (await server.ask("/login/renew", "POST"))[0] == 401
    assert (await server.ask("/"))[1].startswith("/login?to="), "whoever opens the page signs in anew"
    assert len(server.issuer.asked) == 1, "its refresh token was not even tried"
    server.issuer.id_claims = {"sid": "sid-3"}
    await server.sign_in()
    assert (await server.ask("/dicom-web/studies"))[0] == 200
    assert server.counted("provider_logouts", "ended") == 2.0


async def test_person_is_signed_out_of_all_that_began_until_then(server: LoginServer) -> None:
    server.issuer.id_claims = {"sid": "sid-1"}
    await server.sign_in()
    token = server.logout_token(sid=None)
    assert (await server.tell(token))[0] == 200
    assert (await server.ask("/dicom-web/studies"))[0] == 401
    server.clock.advance(1)
    await server.sign_in()
    assert (await server.tell(token))[0] == 200, "the same again changes nothing"
    assert (await server.ask("/dicom-web/studies"))[0] == 200
    assert (await server.tell(server.logout_token(sid=None, sub="u2")))[0] == 200
    assert (await server.ask("/dicom-web/studies"))[0] == 200, "somebody else"


async def test_provider_that_names_no_sessions_ends_those_of_the_person(server: LoginServer) -> None:
    await server.sign_in()
    assert (await server.tell(server.logout_token(sid="sid-9")))[0] == 200
    assert (await server.ask("/dicom-web/studies"))[0] == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "another"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"exp": None},
        {"events": None},
        {"nonce": "n"},
        {"jti": None},
        {"sub": None, "sid": None},
    ],
    ids=str,
)
async def test_nobody_is_signed_out_by_what_is_no_logout_token(server: LoginServer, wrong: dict[str, Any]) -> None:
    server.issuer.id_claims = {"sid": "sid-1"}
    await server.sign_in()
    status, text = await server.tell(server.logout_token(**wrong))
    assert (status, "the logout token is refused" in text) == (400, True)
    assert (await server.ask("/dicom-web/studies"))[0] == 200
    assert server.counted("provider_logouts", "refused") == 1.0


async def test_nobody_is_signed_out_by_what_the_provider_did_not_sign(server: LoginServer) -> None:
    server.issuer.id_claims = {"sid": "sid-1"}
    await server.sign_in()
    good = server.logout_token()
    other = TestIssuer()
    other.port = server.issuer.port
    forged = other.token(aud="client", jti="t", sid="sid-1", events=LOGOUT)
    assert (await server.ask("/dicom-web/studies", Authorization=f"Bearer {server.logout_token(aud='gantry')}"))[
        0
    ] == 401
    for token in (forged, good[:-6] + "AAAAAA", "a.b.c", "x"):
        assert (await server.tell(token))[0] == 400, token
    for headers in ({"Content-Type": "application/json"}, {"Content-Type": "multipart/form-data"}):
        assert (await server.tell(good, **headers))[0] == 400
    assert (await server.tell(""))[0] == 400
    assert (await server.tell("x" * 40_000))[0] == 413
    assert (await server.ask("/login/backchannel"))[0] == 404
    assert (await server.ask("/dicom-web/studies"))[0] == 200
    assert (await server.tell(good))[0] == 200
    assert (await server.ask("/dicom-web/studies"))[0] == 401
