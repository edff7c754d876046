"""Sessions at a server: the cookies of a request become an identity, without a store shared by processes.

Every process with the same `login.session_key_file` and `http.url` opens what any of them sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from gantry.common.access import Identity
from gantry.common.access.sessions import (
    FLOW_SECONDS,
    Flow,
    Grant,
    Session,
    SessionLimits,
    flow_of,
    grant_of,
    of_flow,
    of_grant,
    of_session,
    session_of,
)
from gantry.common.clock import Clock
from gantry.common.config.access_sections import is_safe_url
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, NotUnderstood
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.cookies import FLOW, GRANT, SESSION, CookieNames
from gantry.common.web.same_origin import is_from_our_page, origin_of
from gantry.common.web.seals import WatchedSeals

_USES = ("session", "grant", "flow")
_MOST_FLOWS = 4
logger = get_logger("access")


class Sessions:
    """Seals sessions, and opens them again."""

    ended: Callable[[str, str, str, float], bool] | None = None
    """Whether the issuer ended a session, by its person, its `sid`, and when it began; set by a process that reads the
    log. The front door does not: it forwards what seems valid, and the service decides."""

    def __init__(self, file: Path, url: str, issuer: str, limits: SessionLimits, clock: Clock) -> None:
        """`url` is the origin of this installation, `issuer` our name of the issuer whose users have sessions. Raises
        `ConfigError`."""
        self.url = url
        self.origin = origin_of(url)
        self.limits = limits
        self.cookies = CookieNames(secure=url.startswith("https:"))
        self._issuer = issuer
        self._clock = clock
        self._seals = WatchedSeals(file, _USES, self.origin)

    def identity(self, headers: Mapping[str, str]) -> Identity | None:
        """The identity of a request's session; None if there is no valid one."""
        session = self.session(headers)
        return session.identity if session is not None and self.now() < session.until else None

    def is_from_our_page(self, method: str, headers: Mapping[str, str]) -> bool:
        """Whether a session may authorise a request."""
        return is_from_our_page(method, headers, self.origin)

    def session(self, headers: Mapping[str, str]) -> Session | None:
        """The session of a request, even an expired one, but not one that the issuer ended."""
        content = self._open("session", headers, SESSION)
        session = None if content is None else session_of(content)
        if session is None or session.identity.issuer != self._issuer:
            return None
        return None if self._is_ended(session.identity.subject, session.sid, session.began) else session

    def grant(self, headers: Mapping[str, str]) -> Grant | None:
        """The grant that renews the session; None for a session that the issuer ended."""
        content = self._open("grant", headers, GRANT)
        grant = None if content is None else grant_of(content)
        if grant is None or self._is_ended(grant.subject, grant.sid, grant.began):
            return None
        return grant

    def flow(self, headers: Mapping[str, str], state: str) -> Flow | None:
        """The login under way in this browser that a state belongs to."""
        content = self._open("flow", headers, self.flow_name(state))
        flow = None if content is None else flow_of(content)
        return flow if flow is not None and self.now() < flow.began + FLOW_SECONDS else None

    def sealed(self, session: Session, grant: Grant) -> list[str]:
        """Set-Cookie of both. Raises `NotUnderstood` if an identity is too long."""
        now = self.now()
        lasts = min(grant.idle_until, grant.began + self.limits.longest) - now
        return [
            self.cookies.set_cookie(SESSION, self._seals.of("session").seal(of_session(session)), session.until - now),
            self.cookies.set_cookie(GRANT, self._sealed_grant(grant), lasts),
        ]

    def sealed_flow(self, flow: Flow, headers: Mapping[str, str]) -> list[str]:
        """Set-Cookie of a login that begins. If a request has too many, some are deleted."""
        under_way = self.cookies.beginning(headers, FLOW)
        gone = [self.cookies.delete_cookie(name) for name in under_way] if len(under_way) >= _MOST_FLOWS else []
        name, value = self.flow_name(flow.state), self._seals.of("flow").seal(of_flow(flow))
        return [*gone, self.cookies.set_cookie(name, value, FLOW_SECONDS)]

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock.now_us() / 1e6

    @staticmethod
    def flow_name(state: str) -> str:
        """The cookie name of a state, from a part of it: characters that a name must not have are left out."""
        return FLOW + "".join(c for c in state[:12] if c.isascii() and (c.isalnum() or c in "-_"))

    def _is_ended(self, subject: str, sid: str, began: float) -> bool:
        return self.ended is not None and self.ended(self._issuer, subject, sid, began)

    def _sealed_grant(self, grant: Grant) -> str:
        """The sealed grant, with the refresh token if there is room for it."""
        try:
            return self._seals.of("grant").seal(of_grant(grant))
        except NotUnderstood:
            logger.warning("a refresh token is too long for a cookie: the session ends with its token")
            return self._seals.of("grant").seal(of_grant(replace(grant, refresh="")))

    def _open(self, use: str, headers: Mapping[str, str], name: str) -> Mapping[str, object] | None:
        value = self.cookies.value(headers, name)
        if not value:
            return None
        content = self._seals.of(use).open(value)
        if content is None:
            logger.warning("a cookie is not of this installation, or was changed", cookie=use)
        return content


def sessions_of(settings: Settings, clock: Clock) -> Sessions | None:
    """The sessions of the settings; None without `login.issuer`. Raises `ConfigError`."""
    login, url = settings.login, (settings.http.url or "").rstrip("/")
    if not login.issuer:
        return None
    if login.issuer not in [issuer.name for issuer in settings.access.issuers]:
        raise ConfigError("login.issuer", None, f"{login.issuer} is none of access.issuers")
    if not is_safe_url(url) or url.count("/") != 2:
        raise ConfigError("http.url", None, "login needs it: https://HOST, as people write it in their browsers")
    assert login.session_key_file is not None
    limits = SessionLimits(login.idle, login.longest)
    return Sessions(login.session_key_file, url, login.issuer, limits, clock)
