"""Tokens of a real issuer over HTTP, at a real server of ours."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from gantry.common.access import Means
from gantry.common.clock import ManualClock
from gantry.common.config.access_sections import AccessSettings
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.access import AccessControl, Caller, Tokens
from gantry.common.web.issuer_keys import UNKNOWN_SECONDS
from gantry.common.web.issuers import IssuerTokens
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import CALLER, WebLimits, WebServer
from tests.support.issuer import TestIssuer


class Site:
    """Our server, and the issuer that it trusts."""

    def __init__(self, issuer: TestIssuer) -> None:
        self.issuer = issuer
        self.clock = ManualClock(int(time.time() * 1e6))
        self.metrics = Metrics()
        self.callers: list[Caller] = []
        self.stack = AsyncExitStack()

    async def start(self, **changed: object) -> None:
        named = {"name": "sso", "url": self.issuer.url, "audience": ["gantry"], **changed}
        settings = AccessSettings.model_validate({"issuers": [named], "keys_deadline": 1.0})
        tokens = IssuerTokens(settings, self.clock, self.metrics)
        server = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None), signed=tokens), WebLimits())
        server.serve({Resource.SEARCH_STUDIES: self._search, Resource.STORE: self._search})
        await server.start()
        self.stack.push_async_callback(server.close)
        self.stack.push_async_callback(tokens.close)
        self.port = server.port
        self.client = await self.stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{server.port}"))

    async def _search(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        self.callers.append(request[CALLER])
        return web.Response(text="[]")

    async def ask(self, token: str, method: str = "GET") -> tuple[int, str]:
        """Status and WWW-Authenticate."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.client.request(method, "/dicom-web/studies", headers=headers) as response:
            return response.status, response.headers.get("WWW-Authenticate", "")

    def refused(self, reason: str) -> float:
        return self.metrics.registry.get_sample_value("gantry_tokens_refused_total", {"reason": reason}) or 0.0

    def fetches(self, result: str) -> float:
        labels = {"issuer": "sso", "result": result}
        return self.metrics.registry.get_sample_value("gantry_issuer_key_fetches_total", labels) or 0.0


@pytest.fixture
async def issuer() -> AsyncIterator[TestIssuer]:
    fixture = TestIssuer()
    async with fixture.serving():
        yield fixture


@pytest.fixture
async def site(issuer: TestIssuer) -> AsyncIterator[Site]:
    fixture = Site(issuer)
    async with fixture.stack:
        yield fixture


async def test_user_is_who_the_issuer_says_and_keys_are_fetched_once(site: Site) -> None:
    await site.start()
    token = site.issuer.token(preferred_username="jdoe", roles=["radiologist"])
    assert [await site.ask(token) for _ in range(5)] == [(200, "")] * 5
    caller = site.callers[0]
    assert (caller.name, caller.identity.means, caller.identity.subject) == ("sso:jdoe", Means.ISSUER, "u1")
    assert (site.issuer.fetches, site.fetches("taken")) == (1, 1.0)


async def test_role_decides_and_403_says_so(site: Site) -> None:
    await site.start(patient_claim="mrn")
    patient = site.issuer.token(roles=["patient"], mrn="P1")
    assert await site.ask(patient) == (200, "")
    status, challenge = await site.ask(patient, "POST")
    assert (status, 'error="insufficient_scope"' in challenge) == (403, True)
    status, _ = await site.ask(site.issuer.token())
    assert status == 403  # without a role


async def test_without_a_token_one_is_asked_for_also_on_this_machine(site: Site) -> None:
    await site.start()
    assert await site.ask("") == (401, 'Bearer realm="gantry"')
    status, challenge = await site.ask("not-a-signed-token")
    assert (status, 'error="invalid_token"' in challenge) == (401, True)


@pytest.mark.parametrize(
    ("claims", "reason", "words"),
    [
        ({"aud": "other"}, "audience", "it is for another audience"),
        ({"iss": "https://evil.example"}, "issuer", "it is from another issuer"),
        ({"exp": 1}, "expired", "it has expired"),
        ({"nbf": 4_102_444_800}, "early", "it is not valid yet"),
        ({"scope": "openid"}, "scope", "it lacks a scope"),
        ({"sub": None}, "subject", "it names nobody"),
        ({"exp": None}, "malformed", "its exp is not a time"),
    ],
)
async def test_token_for_others_is_refused_with_its_reason(
    site: Site, claims: dict[str, object], reason: str, words: str
) -> None:
    await site.start(scopes=["dicom"])
    status, challenge = await site.ask(site.issuer.token(**{"scope": "dicom", "roles": ["service"], **claims}))
    assert status == 401
    assert challenge == (
        f'Bearer realm="gantry", error="invalid_token", error_description="the token is not accepted: {words}"'
    )
    assert site.refused(reason) == 1.0


async def test_algorithms_are_not_the_token_s_choice(site: Site) -> None:
    """RFC 8725 2.1: signed by HMAC with the public key, not signed, and signed by another key under the same id."""
    await site.start()
    good = site.issuer.token(roles=["administrator"])
    body = good.split(".")[1]
    for head in ({"alg": "HS256", "kid": "k1"}, {"alg": "none", "kid": "k1"}, {"alg": "RS512", "kid": "k1"}):
        signed = f"{part(head)}.{body}"
        pem = site.issuer.keys["k1"].as_pem(private=False)
        mac = part(hmac.digest(pem, signed.encode(), "sha256"))
        assert (await site.ask(f"{signed}.{mac}"))[0] == 401
        assert (await site.ask(f"{signed}."))[0] == 401
    assert site.refused("algorithm") == 6.0
    stranger = TestIssuer()
    forged = site.issuer.token(signer=stranger.keys["k1"], roles=["administrator"])
    assert (await site.ask(forged))[0] == 401
    assert site.refused("signature") == 1.0
    assert not site.callers


async def test_unknown_key_is_looked_for_once_a_minute(site: Site) -> None:
    await site.start()
    assert (await site.ask(site.issuer.token(roles=["service"])))[0] == 200
    strange = [_with_key_id(site.issuer, f"x{number}") for number in range(20)]
    assert {status for status, _ in await asyncio.gather(*map(site.ask, strange))} == {401}
    assert site.issuer.fetches == 2
    site.clock.advance(UNKNOWN_SECONDS - 1)
    assert (await site.ask(strange[0]))[0] == 401
    assert site.issuer.fetches == 2
    site.clock.advance(1)
    assert (await site.ask(strange[0]))[0] == 401
    assert site.issuer.fetches == 3
    assert site.refused("key") == 22.0


def part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _with_key_id(issuer: TestIssuer, name: str) -> str:
    return issuer.token(name, signer=issuer.keys["k1"], roles=["service"])


async def test_new_key_is_taken_at_once_and_an_old_one_goes(site: Site) -> None:
    await site.start()
    old = site.issuer.token(roles=["service"])
    assert (await site.ask(old))[0] == 200
    site.issuer.rotate("k1", "k2")
    assert (await site.ask(site.issuer.token("k2", roles=["service"])))[0] == 200
    assert (await site.ask(old))[0] == 401


async def test_key_that_was_withdrawn_goes_after_its_time(site: Site) -> None:
    await site.start()
    site.issuer.rotate("", "k2")
    old = site.issuer.token(roles=["service"])
    assert (await site.ask(old))[0] == 200
    del site.issuer.keys["k1"]
    site.clock.advance(601)
    statuses = [(await site.ask(old))[0]]
    while statuses[-1] == 200 and len(statuses) < 100:  # the fetch is beside the requests
        statuses.append((await site.ask(old))[0])
    assert statuses[-1] == 401


async def test_issuer_that_is_away_at_the_start_is_asked_again(site: Site) -> None:
    """503, since nobody can say; not once for each request."""
    away = TestIssuer()
    async with away.serving():
        pass
    fixture = Site(away)
    async with fixture.stack:
        await fixture.start()
        token = away.token(roles=["service"])
        assert {(await fixture.ask(token))[0] for _ in range(5)} == {503}
        assert fixture.fetches("failed") == 1.0
        async with away.serving():
            fixture.clock.advance(6)
            assert (await fixture.ask(token))[0] == 200


async def test_known_keys_go_on_while_the_issuer_is_away() -> None:
    issuer = TestIssuer()
    site = Site(issuer)
    async with site.stack:
        async with issuer.serving():
            await site.start()
            token = issuer.token(roles=["service"], exp=int(time.time()) + 100_000)
            assert (await site.ask(token))[0] == 200
        for _ in range(3):
            site.clock.advance(3600)
            assert (await site.ask(token))[0] == 200
        assert (await site.ask(_with_key_id(issuer, "x")))[0] == 401
        assert site.fetches("failed") >= 1.0


@pytest.mark.parametrize("body", [b"x" * (1 << 19), b"[" * 200_000, b'{"keys": []}', b"\x00"])
async def test_keys_that_cannot_be_used_are_none(site: Site, body: bytes) -> None:
    await site.start()
    site.issuer.answer = body
    assert (await site.ask(site.issuer.token(roles=["service"])))[0] == 503
    site.issuer.answer = None
    site.clock.advance(6)
    assert (await site.ask(site.issuer.token(roles=["service"])))[0] == 200


@pytest.mark.parametrize(
    "discovered", [{"issuer": "https://evil.example"}, {"jwks_uri": "http://keys.example/keys"}, {"jwks_uri": 5}]
)
async def test_discovery_of_another_or_of_an_unsafe_place_is_refused(site: Site, discovered: dict[str, object]) -> None:
    await site.start()
    site.issuer.discovered = discovered
    assert (await site.ask(site.issuer.token(roles=["service"])))[0] == 503
    assert site.issuer.fetches == 0


async def test_slow_issuer_holds_nobody_up_for_longer_than_the_deadline(site: Site) -> None:
    await site.start()
    site.issuer.hold = asyncio.Event()
    begun = time.monotonic()
    assert (await site.ask(site.issuer.token(roles=["service"])))[0] == 503
    assert 0.9 < time.monotonic() - begun < 5
    site.issuer.hold.set()


async def test_token_of_100_kilobytes_is_refused(site: Site) -> None:
    await site.start()
    token = site.issuer.token(roles=["service"], padding="x" * 75_000)
    assert len(token) > 100_000
    assert (await site.ask(token))[0] in (400, 401, 431)
    assert (await site.ask(site.issuer.token(roles=["service"])))[0] == 200


async def test_a_caller_whose_token_is_refused_all_day_fills_no_log(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    await site.start()
    for number in range(20):
        assert (await site.ask(site.issuer.token(aud=f"other{number}")))[0] == 401
    assert capsys.readouterr().out.count("token refused") == 1
    assert site.refused("audience") == 20.0
