"""`gantry.common.access.sessions`: how long a session is valid, and what happens to an expired one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gantry.common.access import CallerRole, Facts, Identity, Means
from gantry.common.access.sessions import (
    Flow,
    Grant,
    Renewal,
    Session,
    SessionLimits,
    flow_of,
    grant_of,
    of_flow,
    of_grant,
    of_session,
    renewal,
    session_of,
)

FACTS = Facts(("Doe^Jane",), ("17",), (("P1", "NORTH"), ("P2", "")), ("North",))
JANE = Identity("s1", "sso:jane", Means.ISSUER, frozenset((CallerRole.REFERRER,)), FACTS, "sso")
LIMITS = SessionLimits(idle=1800.0, longest=36_000.0)
NOW = 1_000_000.0
GRANT = Grant("s1", "n1", NOW - 100, NOW + 1700, NOW + 200, "refresh", "sid1")
SESSION = Session(JANE, "n1", NOW + 200, "sid1", NOW - 100)


def test_what_is_written_is_read_again() -> None:
    flow = Flow("s", "n", "v", "/?q=x", NOW)
    assert session_of(json.loads(json.dumps(of_session(SESSION)))) == SESSION
    assert grant_of(json.loads(json.dumps(of_grant(GRANT)))) == GRANT
    assert flow_of(json.loads(json.dumps(of_flow(flow)))) == flow


@pytest.mark.parametrize("content", [{}, {"sub": "s"}, {**of_session(SESSION), "roles": ["king"]}, {"x": 1}])
def test_what_another_release_wrote_is_nothing(content: dict[str, object]) -> None:
    assert session_of(content) is None
    assert grant_of(content) is None
    assert flow_of(content) is None


def test_secrets_are_not_shown() -> None:
    assert "refresh=" not in repr(GRANT)
    assert "verifier" not in repr(Flow("s", "n", "v", "/", NOW))


@pytest.mark.parametrize(
    ("changed", "until"),
    [({"token_until": NOW + 200}, 200), ({"token_until": NOW + 9000}, 1800), ({"began": NOW - 35_900}, 100)],
    ids=["the token", "idle", "the longest"],
)
def test_session_ends_by_what_comes_first(changed: dict[str, float], until: float) -> None:
    assert LIMITS.until(replace(GRANT, **changed), NOW) == NOW + until


@pytest.mark.parametrize(
    ("session", "grant", "expected"),
    [
        (SESSION, GRANT, Renewal.ANEW),
        (SESSION, replace(GRANT, token_until=NOW + 50), Renewal.REFRESH),
        (SESSION, replace(GRANT, token_until=NOW + 50, refresh=""), Renewal.ANEW),
        (replace(SESSION, until=NOW), GRANT, Renewal.REFRESH),
        (None, GRANT, Renewal.REFRESH),
        (replace(SESSION, until=NOW), replace(GRANT, refresh=""), Renewal.OVER),
        (SESSION, None, Renewal.OVER),
        (SESSION, replace(GRANT, idle_until=NOW), Renewal.OVER),
        (SESSION, replace(GRANT, began=NOW - 36_000), Renewal.OVER),
        # A grant of another login is no reason to go on with this session.
        (SESSION, replace(GRANT, number="n2", refresh=""), Renewal.OVER),
    ],
)
def test_session_goes_on_or_is_over(session: Session | None, grant: Grant | None, expected: Renewal) -> None:
    assert renewal(session, grant, LIMITS, NOW) is expected
