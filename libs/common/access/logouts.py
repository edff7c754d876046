"""Persons signed out by an identity provider: OpenID Connect Back-Channel Logout 1.0. Pure.

A session here has the `sid` of its session at the provider, if the provider names one, and the time when it began.
Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gantry.common.errors import TokenRefused
from gantry.common.events import SessionsEnded

_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class SignedOut:
    """A person signed out of one session at the provider, or of all if `sid` is ""; `token` is the id of the logout
    token."""

    subject: str
    sid: str
    token: str


def signed_out_of(claims: Mapping[str, Any]) -> SignedOut:
    """The claims of a logout token, which is genuine and for us (2.4, 2.6). Raises `TokenRefused`."""
    events = claims.get("events")
    # An ID token names the same issuer, client and person, and everyone who signed in has one.
    if not isinstance(events, Mapping) or not isinstance(events.get(_EVENT), Mapping) or "nonce" in claims:
        raise TokenRefused("malformed", "it is no logout token")
    logout = SignedOut(_text(claims, "sub"), _text(claims, "sid"), _text(claims, "jti"))
    if not logout.token or not (logout.subject or logout.sid):
        raise TokenRefused("malformed", "it does not say who is signed out")
    return logout


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable():
        raise TokenRefused("malformed", f"its {name} is not a name")
    return value


class EndedSessions:
    """The ended sessions that some browser may still have: those that began in the last `longest` seconds."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._sids: dict[tuple[str, str], float] = {}
        self._subjects: dict[tuple[str, str], float] = {}
        self._of_some: dict[tuple[str, str], float] = {}
        self._tokens: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def apply(self, event: SessionsEnded) -> None:
        """Record the end of sessions."""
        token, at = (event.issuer, event.token), event.at / 1e6
        if token in self._tokens:
            return
        self._tokens[token] = at
        subject = event.issuer, event.subject
        if event.sid:
            self._sids[event.issuer, event.sid] = at
            self._of_some[subject] = max(at, self._of_some.get(subject, at))
        else:
            self._subjects[subject] = max(at, self._subjects.get(subject, at))

    def has(self, issuer: str, subject: str, sid: str, began: float) -> bool:
        """Whether a session that `began` then has ended. One without a `sid` ends with any session of its subject,
        since it may be that one."""
        if began <= self._subjects.get((issuer, subject), -1.0):
            return True
        if sid:
            return (issuer, sid) in self._sids
        return began <= self._of_some.get((issuer, subject), -1.0)

    def forget(self, now: float) -> None:
        """Drop entries too old for any session."""
        for times in (self._sids, self._subjects, self._of_some, self._tokens):
            for key in [key for key, at in times.items() if at < now - self._longest]:
                del times[key]
