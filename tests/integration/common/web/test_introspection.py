"""Tokens that an issuer is asked about (RFC 7662), at a real server of ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gantry.common.access import Means
from tests.integration.common.web.test_issuers import Site
from tests.support.issuer import TestIssuer

SOMEBODY = {"active": True, "aud": "gantry", "sub": "u7", "preferred_username": "jdoe", "roles": ["radiologist"]}


class AskingSite(Site):
    """It asks its issuer about tokens."""

    def __init__(self, issuer: TestIssuer, secret: Path) -> None:
        super().__init__(issuer)
        self._secret = secret

    async def start(self, **changed: object) -> None:
        self._secret.write_text("s:1/\n")
        client = {"introspect": ["opaque"], "client_id": "checker", "client_secret_file": str(self._secret)}
        await super().start(**{**client, **changed})

    def answers(self, result: str) -> float:
        labels = {"issuer": "sso", "result": result}
        return self.metrics.registry.get_sample_value("gantry_token_introspections_total", labels) or 0.0

    def change_secret(self, secret: str) -> None:
        self._secret.write_text(secret)


@pytest.fixture
async def issuer() -> AsyncIterator[TestIssuer]:
    fixture = TestIssuer()
    async with fixture.serving():
        yield fixture


@pytest.fixture
async def site(issuer: TestIssuer, tmp_path: Path) -> AsyncIterator[AskingSite]:
    fixture = AskingSite(issuer, tmp_path / "secret")
    async with fixture.stack:
        yield fixture


async def test_token_that_says_nothing_is_asked_about_once_in_a_while(site: AskingSite) -> None:
    await site.start()
    site.issuer.said["opaque-1"] = SOMEBODY
    assert {(await site.ask("opaque-1"))[0] for _ in range(5)} == {200}
    caller = site.callers[0]
    assert (caller.name, caller.identity.means, caller.identity.subject) == ("sso:jdoe", Means.ISSUER, "u7")
    assert (site.issuer.asked, site.answers("active")) == (["opaque-1"], 1.0)
    del site.issuer.said["opaque-1"]  # taken back
    site.clock.advance(29.9)
    assert (await site.ask("opaque-1"))[0] == 200
    site.clock.advance(0.2)
    status, challenge = await site.ask("opaque-1")
    assert (status, "its issuer says that it is not active" in challenge) == (401, True)
    assert (await site.ask("opaque-1"))[0] == 401
    assert (len(site.issuer.asked), site.answers("inactive"), site.refused("inactive")) == (2, 1.0, 2.0)


async def test_many_who_come_with_one_token_ask_one_question(site: AskingSite) -> None:
    await site.start()
    site.issuer.said["opaque-1"] = SOMEBODY
    site.issuer.hold = asyncio.Event()
    asking = [asyncio.create_task(site.ask("opaque-1")) for _ in range(20)]
    while not site.issuer.asked:
        await asyncio.sleep(0.01)
    site.issuer.hold.set()
    assert {(await answer)[0] for answer in asking} == {200}
    assert len(site.issuer.asked) == 1


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"aud": "other"}, "audience"),
        ({"aud": None, "client_id": "viewer"}, "audience"),
        ({"iss": "https://evil.example"}, "issuer"),
        ({"exp": 1}, "expired"),
        ({"sub": 7}, "subject"),
        ({"active": False}, "inactive"),
    ],
)
async def test_what_is_said_is_looked_at_as_claims_are(site: AskingSite, said: dict[str, object], reason: str) -> None:
    await site.start()
    site.issuer.said["opaque-1"] = {**SOMEBODY, **said}
    assert (await site.ask("opaque-1"))[0] == 401
    assert site.refused(reason) == 1.0


async def test_without_an_audience_it_is_for_the_client_that_it_was_given_to(site: AskingSite) -> None:
    await site.start()
    site.issuer.said["opaque-1"] = {"active": True, "client_id": "gantry", "roles": ["service"]}
    assert (await site.ask("opaque-1"))[0] == 200
    assert site.callers[0].identity.subject == "gantry"


async def test_while_nobody_can_say_it_is_503_and_not_remembered(site: AskingSite) -> None:
    await site.start()
    site.issuer.said["opaque-1"] = SOMEBODY
    site.issuer.refuses = 500
    assert (await site.ask("opaque-1"))[0] == 503
    site.issuer.refuses = None
    site.change_secret("another")
    assert (await site.ask("opaque-1"))[0] == 503
    site.change_secret("s:1/")
    for body in (b"x" * (1 << 19), b"[" * 200_000, b"{}"):
        site.issuer.answer = body
        assert (await site.ask("opaque-1"))[0] == 503
    site.issuer.answer = None
    assert (await site.ask("opaque-1"))[0] == 200
    assert site.answers("failed") == 5.0


async def test_slow_issuer_holds_nobody_up_for_longer_than_the_deadline(site: AskingSite) -> None:
    """Also those who wait for their turn, of which there are eight."""
    await site.start()
    site.issuer.hold = asyncio.Event()
    begun = time.monotonic()
    answers = await asyncio.gather(*(site.ask(f"opaque-{number}") for number in range(30)))
    assert {status for status, _ in answers} == {503}
    assert time.monotonic() - begun < 5
    # Whose time is over before its turn does not ask. On a busy machine some come later, and have a turn.
    assert len(site.issuer.asked) < 30
    site.issuer.hold.set()


async def test_signed_token_that_was_taken_back_goes_too(site: AskingSite) -> None:
    await site.start(introspect=["signed"])
    token = site.issuer.token(roles=["service"])
    assert (await site.ask(token))[0] == 401
    site.clock.advance(31)
    site.issuer.said[token] = {"active": True}
    assert (await site.ask(token))[0] == 200
    forged = site.issuer.token(signer=TestIssuer().keys["k1"], roles=["service"])
    assert (await site.ask(forged))[0] == 401
    assert (await site.ask("opaque-1"))[0] == 401
    assert set(site.issuer.asked) == {token}  # nothing is asked about what is refused anyway


async def test_characters_that_no_token_has_are_refused(site: AskingSite) -> None:
    await site.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /dicom-web/studies HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\xff\x80\r\n\r\n")
    assert (await reader.readline()).split()[1] in (b"400", b"401")
    writer.close()
    assert not site.issuer.asked


async def test_token_of_100_kilobytes_is_not_asked_about(site: AskingSite) -> None:
    await site.start()
    assert (await site.ask("x" * 30_000))[0] in (400, 401, 431)
    assert not site.issuer.asked
