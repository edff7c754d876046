"""POST /login/backchannel: the identity provider reports that a person is signed out (OpenID Connect Back-Channel
Logout 1.0). The request does not come from a browser, and needs no session: what counts is the provider's signature.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from aiohttp import web

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, TokenRefused
from gantry.common.events import SessionsEnded
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.runtime.followed_sessions import FollowedSessions
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.rate_limited import RateLimited
from gantry.common.telemetry.traces import new_trace
from gantry.common.web.bodies import body_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.login_outcome import LOGIN_OUTCOME, LoginOutcome
from gantry.common.web.server import CALLER
from gantry.services.query.login.exchange import OurClient
from gantry.services.query.login.tokens import TokenReader

_LONGEST = 32 * 1024
_NEVER_KEPT = {"Cache-Control": "no-store"}
logger = get_logger("login")


class BackChannel:
    """Answers 200 when the sessions have ended at this process, and all others are being notified."""

    def __init__(
        self,
        followed: FollowedSessions,
        client: OurClient,
        reader: TokenReader,
        issuer: str,
        clock: Clock,
        metrics: Metrics,
        stall: float,
    ) -> None:
        """`issuer` is our name of the issuer whose users sign in here."""
        self._followed = followed
        self._client = client
        self._reader = reader
        self._issuer = issuer
        self._clock = clock
        self._metrics = metrics
        self._stall = stall
        self._seldom = RateLimited()

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Raises `HttpProblem` 400 for anything but a logout token for us, 503 if it cannot be checked or published
        now: the provider may retry."""
        try:
            out = await self._reader.signed_out(await self._token(request), self._client)
        except TokenRefused as refused:
            self._count("refused")
            peer = str(request[CALLER].address)
            if times := self._seldom.times((peer, refused.reason), self._clock.monotonic()):
                logger.warning("logout token refused", reason=refused.reason, peer=peer, count=times)
            raise HttpProblem(400, f"the logout token is refused: {refused.reason}", _NEVER_KEPT) from refused
        except DependencyUnavailable:
            self._count("away")
            raise
        at = self._clock.now_us()
        event = SessionsEnded(DEFAULT_PARTITION, new_trace(), self._issuer, out.subject, out.sid, out.token, at)
        try:
            await self._followed.end(event)
        except DependencyUnavailable:
            self._count("away")
            raise
        self._count("ended")
        # The provider names the person by its own identifier, "" if it names only a session.
        name = f"{self._issuer}:{out.subject}" if out.subject else self._issuer
        logger.info("signed out by the identity provider", caller=name, all_sessions=not out.sid)
        request[LOGIN_OUTCOME] = LoginOutcome(name, out=True)
        return web.Response(status=200, headers=_NEVER_KEPT)

    async def _token(self, request: web.BaseRequest) -> str:
        """The form's one field (2.5)."""
        if request.content_type != "application/x-www-form-urlencoded":
            raise HttpProblem(400, "a form with a logout_token is needed", _NEVER_KEPT)
        body = b"".join([piece async for piece in body_of(request, _LONGEST, self._stall)])
        try:
            tokens = parse_qs(body.decode("ascii"), max_num_fields=16, strict_parsing=True).get("logout_token", [])
        except ValueError:
            tokens = []
        if len(tokens) != 1:
            raise HttpProblem(400, "a form with one logout_token is needed", _NEVER_KEPT)
        return tokens[0]

    def _count(self, result: str) -> None:
        self._metrics.provider_logouts.labels(result).inc()
