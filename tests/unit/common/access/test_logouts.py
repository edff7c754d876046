"""`gantry.common.access.logouts`: whom a provider signed out, and which sessions are over by that."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.access.logouts import EndedSessions, SignedOut, signed_out_of
from gantry.common.errors import TokenRefused
from gantry.common.events import SessionsEnded

EVENTS = {"http://schemas.openid.net/event/backchannel-logout": {}}
CLAIMS = {"jti": "t1", "sub": "jane", "sid": "s1", "events": EVENTS}


def ended(subject: str = "jane", sid: str = "s1", token: str = "t1", at: float = 1000.0) -> SessionsEnded:
    return SessionsEnded("default", "", "sso", subject, sid, token, int(at * 1e6))


def test_a_logout_token_names_a_session_or_a_person() -> None:
    assert signed_out_of(CLAIMS) == SignedOut("jane", "s1", "t1")
    assert signed_out_of({**CLAIMS, "sid": ""}) == SignedOut("jane", "", "t1")
    assert signed_out_of({name: CLAIMS[name] for name in ("jti", "sid", "events")}) == SignedOut("", "s1", "t1")


@pytest.mark.parametrize(
    "wrong",
    [
        {"events": None},
        {"events": ["http://schemas.openid.net/event/backchannel-logout"]},
        {"events": {"http://schemas.openid.net/event/other": {}}},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": None}},
        {"nonce": "n"},  # an ID token of somebody who is signed in
        {"nonce": None},
        {"jti": ""},
        {"jti": 7},
        {"sub": "", "sid": ""},
        {"sub": 7},
        {"sid": "x" * 300},
        {"sid": "a\nb"},
    ],
    ids=str,
)
def test_anything_else_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        signed_out_of({**CLAIMS, **wrong})


def test_the_session_that_is_named_is_over_whenever_it_began_and_no_other() -> None:
    sessions = EndedSessions(3600.0)
    sessions.apply(ended())
    # The provider's clock is not ours: what began "after" is over, too.
    assert [sessions.has("sso", "jane", "s1", began) for began in (0.0, 999.0, 1005.0)] == [True] * 3
    assert not sessions.has("sso", "jane", "s2", 999.0)
    assert not sessions.has("other", "jane", "s1", 999.0)


def test_a_session_that_does_not_know_its_name_is_over_with_any_of_its_subjects() -> None:
    sessions = EndedSessions(3600.0)
    sessions.apply(ended())
    assert sessions.has("sso", "jane", "", 999.0)
    assert not sessions.has("sso", "jane", "", 1001.0)
    assert not sessions.has("sso", "john", "", 999.0)


def test_without_a_session_all_that_began_until_then_are_over() -> None:
    sessions = EndedSessions(3600.0)
    sessions.apply(ended(sid=""))
    assert sessions.has("sso", "jane", "s7", 1000.0)
    assert not sessions.has("sso", "jane", "s7", 1000.1), "signed in again"
    assert not sessions.has("sso", "john", "s7", 999.0)


def test_the_same_token_again_ends_no_session_that_began_since() -> None:
    sessions = EndedSessions(3600.0)
    sessions.apply(ended(sid=""))
    sessions.apply(ended(sid="", at=2000.0))
    assert not sessions.has("sso", "jane", "s7", 1500.0)
    sessions.apply(ended(sid="", token="t2", at=2000.0))
    assert sessions.has("sso", "jane", "s7", 1500.0)


def test_what_no_session_can_be_from_is_forgotten() -> None:
    sessions = EndedSessions(3600.0)
    sessions.apply(ended())
    sessions.apply(ended(sid="", token="t2", at=1500.0))
    sessions.forget(1000.0 + 3600.5)
    assert not sessions.has("sso", "jane", "s1", 1501.0)
    assert sessions.has("sso", "jane", "s1", 1400.0)
    assert len(sessions) == 1
    sessions.forget(1500.0 + 3600.5)
    assert len(sessions) == 0
