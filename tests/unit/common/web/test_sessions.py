"""`gantry.common.web.sessions`: cookies of one installation, for all of its processes and for no other."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from gantry.common.access import CallerRole, Facts, Identity, Means
from gantry.common.access.sessions import Flow, Grant, Session, SessionLimits
from gantry.common.clock import ManualClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, NotUnderstood
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.errors import HttpProblem
from gantry.common.web.sessions import Sessions, sessions_of

URL = "https://archive.example"
LIMITS = SessionLimits(idle=1800.0, longest=36_000.0)
JANE = Identity("s1", "sso:jane", Means.ISSUER, frozenset((CallerRole.RADIOLOGIST,)), Facts(), "sso")


class Process:
    """One process of an installation."""

    def __init__(self, file: Path, url: str = URL, issuer: str = "sso") -> None:
        self.clock = ManualClock(int(time.time() * 1e6))
        self.sessions = Sessions(file, url, issuer, LIMITS, self.clock)

    def cookie(self, identity: Identity = JANE, refresh: str = "r") -> dict[str, str]:
        now = self.sessions.now()
        grant = Grant(identity.subject, "n1", now, now + 1800, now + 300, refresh)
        kept = self.sessions.sealed(Session(identity, "n1", now + 300), grant)
        return {"Cookie": "; ".join(one.partition(";")[0] for one in kept)}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text("1" * 32 + "\n")
    return file


def test_session_of_one_process_is_known_to_another(keys: Path) -> None:
    cookie = Process(keys).cookie()
    assert Process(keys).sessions.identity(cookie) == JANE
    grant = Process(keys).sessions.grant(cookie)
    assert grant is not None
    assert grant.refresh == "r"


def test_session_of_another_installation_or_issuer_is_none(keys: Path, tmp_path: Path) -> None:
    cookie = Process(keys).cookie()
    assert Process(keys, url="https://other.example").sessions.identity(cookie) is None
    assert Process(keys, issuer="another").sessions.identity(cookie) is None
    other = tmp_path / "other"
    other.write_text("2" * 32)
    assert Process(other).sessions.identity(cookie) is None


def test_grant_is_no_session(keys: Path) -> None:
    """A cookie that was put in another's place."""
    process = Process(keys)
    pairs = process.cookie()["Cookie"].split("; ")
    swapped = f"__Host-gantry-session={pairs[1].partition('=')[2]}"
    assert process.sessions.identity({"Cookie": swapped}) is None


def test_session_ends(keys: Path) -> None:
    process = Process(keys)
    cookie = process.cookie()
    process.clock.advance(299)
    assert process.sessions.identity(cookie) == JANE
    process.clock.advance(2)
    assert process.sessions.identity(cookie) is None
    assert process.sessions.session(cookie) is not None  # what it was is still known


def test_secrets_are_changed_while_people_work(keys: Path) -> None:
    process = Process(keys)
    cookie = process.cookie()
    keys.write_text("2" * 32 + "\n" + "1" * 32 + "\n")
    assert process.sessions.identity(cookie) == JANE
    keys.write_text("short\n")  # a mistake: those in force stay
    assert process.sessions.identity(cookie) == JANE
    keys.write_text("3" * 40 + "\n")
    assert process.sessions.identity(cookie) is None


def test_login_under_way_counts_ten_minutes_and_few_are_remembered(keys: Path) -> None:
    process = Process(keys)
    flow = Flow("state-of-this-login", "n", "v", "/", process.sessions.now())
    (kept,) = process.sessions.sealed_flow(flow, {})
    headers = {"Cookie": kept.partition(";")[0]}
    assert process.sessions.flow(headers, flow.state) == flow
    assert process.sessions.flow(headers, "another") is None
    process.clock.advance(601)
    assert process.sessions.flow(headers, flow.state) is None
    many = {"Cookie": "; ".join(f"__Host-gantry-flow-{n}=x" for n in range(4))}
    assert sum("Max-Age=0" in one for one in process.sessions.sealed_flow(flow, many)) == 4


def test_what_does_not_fit_is_left_out_or_refused(keys: Path) -> None:
    process = Process(keys)
    grant = process.sessions.grant(process.cookie(refresh="x" * 5000))
    assert grant is not None
    assert grant.refresh == ""
    many = replace(JANE, facts=Facts(tuple(f"{n:0200}" for n in range(64))))
    with pytest.raises(NotUnderstood):
        process.cookie(many)


async def test_session_speaks_for_our_page_only_and_a_token_counts_before_it(keys: Path, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("ris:0123456789abcdef roles=service\n")
    process = Process(keys)
    access, cookie = AccessControl(Tokens(file), sessions=process.sessions), process.cookie()
    caller = await access.identify("192.0.2.1", cookie)
    assert (caller.name, caller.by_cookie) == ("sso:jane", True)
    with pytest.raises(HttpProblem) as refused:
        await access.identify("192.0.2.1", cookie, "DELETE")
    assert refused.value.status == 403
    assert (await access.identify("192.0.2.1", {**cookie, "Origin": URL}, "DELETE")).name == "sso:jane"
    both = {**cookie, "Authorization": "Bearer 0123456789abcdef"}
    assert (await access.identify("192.0.2.1", both, "DELETE")).name == "ris"
    with pytest.raises(HttpProblem) as refused:
        await access.identify("192.0.2.1", {**cookie, "Authorization": "Bearer nobody"})
    assert refused.value.status == 401


def test_settings_make_sessions_or_say_what_is_missing(keys: Path) -> None:
    login = {"issuer": "sso", "client_id": "gantry", "session_key_file": str(keys)}
    access = {"issuers": [{"name": "sso", "url": "https://sso.example", "audience": ["gantry"]}]}
    clock = ManualClock(0)

    def made(**changed: object) -> Sessions | None:
        values = {"login": login, "access": access, "http": {"url": URL}, **changed}
        return sessions_of(Settings.model_validate(values), clock)

    assert sessions_of(Settings(), clock) is None
    sessions = made()
    assert sessions is not None
    assert sessions.cookies.secure
    for wrong in (
        {"access": {}},
        {"http": {}},
        {"http": {"url": "http://archive.example"}},
        {"http": {"url": f"{URL}/x"}},
    ):
        with pytest.raises(ConfigError):
            made(**wrong)
    keys.unlink()
    with pytest.raises(ConfigError):
        made()
