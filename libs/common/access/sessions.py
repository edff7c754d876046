"""Sessions of people in a browser: what is sealed into their cookies, how long it counts, and when it is renewed. Pure.

    session   who somebody is, as the issuer's token said; comes with every request
    grant     what the session is renewed by: a refresh token, and the limits
    flow      a login that is under way: what has to come back from the issuer

Times are seconds since the epoch. A session ends with the token that it is from, when nobody used the page for too
long, or too long after the login, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from gantry.common.access.identity import Facts, Identity, Means
from gantry.common.access.verbs import CallerRole

FLOW_SECONDS = 600.0
"""Somebody may take so long to sign in at the issuer."""
RENEW_BEFORE = 60.0
"""A token is renewed so long before it expires."""


@dataclass(frozen=True, slots=True)
class Session:
    """`number` is random, and the same in the grant. `began`: the login; `sid` is the session at the issuer, ""
    where it names none."""

    identity: Identity
    number: str
    until: float
    sid: str = ""
    began: float = 0.0


@dataclass(frozen=True, slots=True)
class Grant:
    """`began`: the login; `idle_until`: nobody used the page; `token_until`: the token of the session expires. Without
    a refresh token ("") the session cannot outlast it. `sid` is that of the session."""

    subject: str
    number: str
    began: float
    idle_until: float
    token_until: float
    refresh: str = field(default="", repr=False)
    sid: str = ""


@dataclass(frozen=True, slots=True)
class Flow:
    """`target` is the path to come back to."""

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
        """When a session ends that is used now."""
        return min(now + self.idle, grant.began + self.longest, grant.token_until)


class Renewal(Enum):
    """What is done for somebody who goes on."""

    ANEW = "anew"
    """The session is sealed anew, with a later end."""
    REFRESH = "refresh"
    """The issuer is asked for a new token."""
    OVER = "over"
    """He has to sign in."""


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
    """A session as JSON has it; what is empty is left out."""
    one, facts = session.identity, session.identity.facts
    content = {
        "sub": one.subject,
        "name": one.name,
        "roles": sorted(role.value for role in one.roles),
        "iss": one.issuer,
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
    """A grant as JSON has it."""
    return {name: getattr(grant, name) for name in Grant.__slots__}


def grant_of(content: Mapping[str, Any]) -> Grant | None:
    """What `of_grant` wrote; None for what another release wrote."""
    try:
        return Grant(**content)
    except TypeError:
        return None


def of_flow(flow: Flow) -> Mapping[str, Any]:
    """A flow as JSON has it."""
    return {name: getattr(flow, name) for name in Flow.__slots__}


def flow_of(content: Mapping[str, Any]) -> Flow | None:
    """What `of_flow` wrote; None for what another release wrote."""
    try:
        return Flow(**content)
    except TypeError:
        return None
