"""Sessions of people in a browser: the content of their cookies, how long it is valid, and when it is renewed. Pure.

    session   the identity from the issuer's token; sent with every request
    grant     the means to renew the session: a refresh token, and the limits
    flow      a login that is under way: the values that the issuer must return

Times are seconds since the epoch. A session ends with its token, when the page was not used for too long, or too long
after the login, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from gantry.common.access.identity import Facts, Identity, Means
from gantry.common.access.verbs import CallerRole

FLOW_SECONDS = 600.0
"""Seconds that signing in at the issuer may take."""
RENEW_BEFORE = 60.0
"""Seconds before its expiry at which a token is renewed."""


@dataclass(frozen=True, slots=True)
class Session:
    """`number` is random, and the same in the grant. `began`: the login; `sid` is the session at the issuer, "" if it
    names none."""

    identity: Identity
    number: str
    until: float
    sid: str = ""
    began: float = 0.0


@dataclass(frozen=True, slots=True)
class Grant:
    """`began`: the login; `idle_until`: when it ends if the page is not used; `token_until`: when the session's token
    expires. Without a refresh token ("") the session cannot outlast it. `sid` is that of the session."""

    subject: str
    number: str
    began: float
    idle_until: float
    token_until: float
    refresh: str = field(default="", repr=False)
    sid: str = ""


@dataclass(frozen=True, slots=True)
class Flow:
    """`target` is the path to return to."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    target: str
    began: float


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Seconds."""

    idle: float
    longest: float

    def until(self, grant: Grant, now: float) -> float:
        """When a session that is used now ends."""
        return min(now + self.idle, grant.began + self.longest, grant.token_until)


class Renewal(Enum):
    """How a session is continued."""

    ANEW = "anew"
    """The session is sealed anew, with a later end."""
    REFRESH = "refresh"
    """The issuer is asked for a new token."""
    OVER = "over"
    """A new sign-in is required."""


def renewal(session: Session | None, grant: Grant | None, limits: SessionLimits, now: float) -> Renewal:
    """`session` and `grant` are as the browser has them, whatever the time."""
    if grant is None or now >= min(grant.idle_until, grant.began + limits.longest):
        return Renewal.OVER
    counts = session is not None and session.number == grant.number and now < session.until
    if counts and grant.token_until - now > RENEW_BEFORE:
        return Renewal.ANEW
    if grant.refresh:
        return Renewal.REFRESH
    return Renewal.ANEW if counts else Renewal.OVER


def of_session(session: Session) -> Mapping[str, Any]:
    """A session as JSON, without empty fields."""
    identity, facts = session.identity, session.identity.facts
    content = {
        "sub": identity.subject,
        "name": identity.name,
        "roles": sorted(role.value for role in identity.roles),
        "iss": identity.issuer,
        "ref": facts.referrers,
        "refid": facts.referrer_ids,
        "pat": facts.patients,
        "inst": facts.institutions,
        "dept": facts.departments,
        "n": session.number,
        "until": session.until,
        "sid": session.sid,
        "began": session.began,
    }
    return {name: value for name, value in content.items() if value}


def session_of(content: Mapping[str, Any]) -> Session | None:
    """What `of_session` wrote; None for what another release wrote."""
    try:
        facts = Facts(
            tuple(content.get("ref", ())),
            tuple(content.get("refid", ())),
            tuple((patient, issuer) for patient, issuer in content.get("pat", ())),
            tuple(content.get("inst", ())),
            tuple(content.get("dept", ())),
        )
        roles = frozenset(CallerRole(word) for word in content.get("roles", ()))
        identity = Identity(content["sub"], content["name"], Means.ISSUER, roles, facts, content["iss"])
        sid, began = str(content.get("sid", "")), float(content.get("began", 0.0))
        return Session(identity, content["n"], float(content["until"]), sid, began)
    except (KeyError, ValueError, TypeError):
        return None


def of_grant(grant: Grant) -> Mapping[str, Any]:
    """A grant as JSON."""
    return {name: getattr(grant, name) for name in Grant.__slots__}


def grant_of(content: Mapping[str, Any]) -> Grant | None:
    """What `of_grant` wrote; None for what another release wrote."""
    try:
        return Grant(**content)
    except TypeError:
        return None


def of_flow(flow: Flow) -> Mapping[str, Any]:
    """A flow as JSON."""
    return {name: getattr(flow, name) for name in Flow.__slots__}


def flow_of(content: Mapping[str, Any]) -> Flow | None:
    """What `of_flow` wrote; None for what another release wrote."""
    try:
        return Flow(**content)
    except TypeError:
        return None
