"""Login for browsers: what is below /login.

GET  /login?to=PATH     to the identity provider; PATH is where to return to
GET  /login/callback    back from it, with a code; then on to PATH with a session
GET  /login/again?to=   an expired session is renewed by its grant, or a new login begins
GET  /login/session     who is signed in, and until when
GET  /login/out         you are signed out
POST /login/renew       the session is renewed: the page is in use
POST /login/logout      the session ends; returns where to go from there
POST /login/backchannel the provider ends the session (`backchannel`)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from secrets import token_urlsafe
from urllib.parse import quote

from aiohttp import web

from gantry.common.access.sessions import Flow, Grant, Renewal, Session, renewal
from gantry.common.errors import LoginRefused, NotUnderstood
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.rate_limited import RateLimited
from gantry.common.web.cookies import CAME, GRANT, OVERRIDE, SESSION
from gantry.common.web.errors import HttpProblem
from gantry.common.web.login_outcome import LOGIN_OUTCOME, LoginOutcome
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import CALLER, Handler
from gantry.common.web.sessions import Sessions
from gantry.services.query.login.exchange import (
    OurClient,
    authorization_url,
    code_of,
    end_session_url,
    form_of_code,
    form_of_refresh,
)
from gantry.services.query.login.pages import POLICY, page_of
from gantry.services.query.login.provider import Provider
from gantry.services.query.login.targets import HOME, target_of
from gantry.services.query.login.tokens import TokenReader

BY_LOGIN, BY_GRANT = "login", "grant"
"""How a browser got its session in the last seconds: if it comes without one then, another login would be a loop."""
_CAME_SECONDS = 10.0
_BACK_CHANNEL = ("backchannel",)
_NEVER_KEPT = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
_NOT_HERE = HttpProblem(404, "nobody can log in here: login.issuer is not set")
logger = get_logger("login")
Answer = Callable[[web.BaseRequest], Awaitable[web.Response]]


async def no_login(request: web.BaseRequest, match: Match) -> web.StreamResponse:
    """The handler if login is not configured."""
    raise _NOT_HERE


class LoginService:
    """The handler of `Resource.LOGIN` and `Resource.SESSION`."""

    def __init__(
        self,
        sessions: Sessions,
        provider: Provider,
        client: OurClient,
        reader: TokenReader,
        metrics: Metrics,
        back_channel: Answer,
    ) -> None:
        """`back_channel` answers the provider; the rest is for browsers."""
        self._sessions = sessions
        self._provider = provider
        self._client = client
        self._reader = reader
        self._metrics = metrics
        self._seldom = RateLimited()
        self._reads: Mapping[tuple[str, ...], Answer] = {
            (): self._begin,
            ("callback",): self._callback,
            ("again",): self._renew_and_return,
            ("session",): self._session,
            ("out",): self._signed_out_page,
        }
        self._changes: Mapping[tuple[str, ...], Answer] = {
            ("renew",): self._renew,
            ("logout",): self._logout,
            _BACK_CHANNEL: back_channel,
        }

    def handlers(self) -> dict[Resource, Handler]:
        """For the HTTP server."""
        return {Resource.LOGIN: self._answer, Resource.SESSION: self._answer}

    async def _answer(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        answers = self._reads if match.resource is Resource.LOGIN else self._changes
        answer = answers.get(match.rest)
        if answer is None:
            raise HttpProblem(404, "no such page")
        browser = match.resource is Resource.SESSION and match.rest != _BACK_CHANNEL
        if browser and not self._sessions.is_from_our_page("POST", request.headers):
            raise HttpProblem(403, "only the archive's own page may ask this")
        try:
            return await answer(request)
        except LoginRefused as refused:
            return self._refused(request, refused)

    # ---- to the provider and back

    async def _begin(self, request: web.BaseRequest) -> web.Response:
        """OpenID Connect Core 1.0 3.1.2.1, with PKCE (RFC 7636)."""
        provider = await self._provider.metadata()
        state, nonce, verifier = token_urlsafe(32), token_urlsafe(32), token_urlsafe(48)
        flow = Flow(state, nonce, verifier, target_of(request.query.get("to", HOME)), self._sessions.now())
        cookies = self._sessions.sealed_flow(flow, request.headers)
        return _redirect(authorization_url(provider, self._client, flow), cookies)

    async def _callback(self, request: web.BaseRequest) -> web.Response:
        """OpenID Connect Core 1.0 3.1.2.5. The state is valid only in the browser that began with it, and once."""
        state = request.query.get("state", "")
        flow = self._sessions.flow(request.headers, state)
        if flow is None or flow.state != state:
            words = (
                "This login is not under way in this browser: it was finished before, took longer than ten minutes, "
            )
            raise LoginRefused("state", 400, f"{words}or the browser keeps no cookies.")
        code = code_of(request.query, await self._provider.metadata(), self._provider.issuer)
        tokens = await self._provider.tokens(form_of_code(self._client, code, flow), self._client)
        came = await self._reader.read(tokens, self._client, nonce=flow.nonce)
        now = self._sessions.now()
        # The session is always a new one: the browser's previous one is replaced (no fixation).
        begun = Grant(came.identity.subject, token_urlsafe(12), now, now, came.expires, tokens.refresh, came.sid)
        session, cookies = self._issued(Session(came.identity, begun.number, now, came.sid, now), begun)
        logger.info("signed in", caller=session.identity.name)
        self._metrics.logins.labels("signed-in").inc()
        request[LOGIN_OUTCOME] = LoginOutcome(came.identity.name)
        names = self._sessions.cookies
        cookies += [
            names.delete_cookie(self._sessions.flow_name(state)),
            names.set_cookie(CAME, BY_LOGIN, _CAME_SECONDS),
        ]
        return _redirect(self._client.url + flow.target, cookies)

    # ---- renewal and end of a session

    async def _renew_and_return(self, request: web.BaseRequest) -> web.Response:
        target = target_of(request.query.get("to", HOME))
        try:
            _, cookies = await self._renewed(request)
        except LoginRefused as refused:
            if refused.kind == "away":
                raise
            return _redirect(f"/login?to={quote(target, safe='')}", ())
        return _redirect(
            self._client.url + target, [*cookies, self._sessions.cookies.set_cookie(CAME, BY_GRANT, _CAME_SECONDS)]
        )

    async def _renew(self, request: web.BaseRequest) -> web.Response:
        try:
            session, cookies = await self._renewed(request)
        except LoginRefused as refused:
            if refused.kind == "away":
                raise HttpProblem(503, refused.reason, {"Retry-After": "5"}) from refused
            response = web.Response(status=401, text=f"{refused.reason}\n")
            return _with_cookies(response, self._forgotten())
        return _with_cookies(web.json_response(_shown(session)), cookies)

    async def _session(self, request: web.BaseRequest) -> web.Response:
        session = self._sessions.session(request.headers)
        if session is None or self._sessions.now() >= session.until:
            return _with_cookies(web.Response(status=401, text="nobody is signed in\n"), ())
        return _with_cookies(web.json_response(_shown(session)), ())

    async def _logout(self, request: web.BaseRequest) -> web.Response:
        """OpenID Connect RP-Initiated Logout 1.0; this browser's session ends, other sessions of the same person
        continue."""
        session, grant = self._sessions.session(request.headers), self._sessions.grant(request.headers)
        name = session.identity.name if session is not None else ""
        if grant is not None and grant.refresh:
            await self._provider.revoke(grant.refresh, self._client)
        try:
            provider = await self._provider.metadata()
            location = end_session_url(provider, self._client)
        except LoginRefused:
            location = "/login/out"
        if name:
            logger.info("signed out", caller=name)
            request[LOGIN_OUTCOME] = LoginOutcome(name, out=True)
        return _with_cookies(web.json_response({"location": location}), self._forgotten())

    async def _signed_out_page(self, request: web.BaseRequest) -> web.Response:
        return _page(200, "You are signed out", "The archive has forgotten this session.", ("/", "Sign in again"))

    # ---- inside

    async def _renewed(self, request: web.BaseRequest) -> tuple[Session, list[str]]:
        """The session with a later end, and its cookies. Raises `LoginRefused`."""
        sessions = self._sessions
        session, grant = sessions.session(request.headers), sessions.grant(request.headers)
        outcome = renewal(session, grant, sessions.limits, sessions.now())
        self._metrics.session_renewals.labels(outcome.value).inc()
        if outcome is Renewal.OVER or grant is None:
            raise LoginRefused("over", 401, "The session is over: sign in again.")
        if outcome is Renewal.REFRESH:
            tokens = await self._provider.tokens(form_of_refresh(grant.refresh), self._client)
            came = await self._reader.read(tokens, self._client, subject=grant.subject)
            session = Session(came.identity, grant.number, came.expires, grant.sid, grant.began)
            grant = replace(grant, token_until=came.expires, refresh=tokens.refresh or grant.refresh)
        assert session is not None
        return self._issued(session, grant)

    def _issued(self, session: Session, grant: Grant) -> tuple[Session, list[str]]:
        """The session and the grant with their new ends, and their cookies. Raises `LoginRefused`."""
        now, limits = self._sessions.now(), self._sessions.limits
        until = limits.until(grant, now)
        if until <= now:
            words = "The token has expired already. The clocks of the archive and the identity provider differ."
            raise LoginRefused("clock", 400, words)
        session = replace(session, until=until)
        grant = replace(grant, idle_until=now + limits.idle)
        try:
            return session, self._sessions.sealed(session, grant)
        except NotUnderstood as error:
            words = "There is more about you in the token than a browser keeps: too many names or Patient IDs."
            raise LoginRefused("size", 413, words) from error

    def _forgotten(self) -> list[str]:
        return [self._sessions.cookies.delete_cookie(name) for name in (SESSION, GRANT, CAME, OVERRIDE)]

    def _refused(self, request: web.BaseRequest, refused: LoginRefused) -> web.Response:
        peer = str(request[CALLER].address)
        if times := self._seldom.times((peer, refused.kind, refused.reason), asyncio.get_running_loop().time()):
            logger.warning("login refused", kind=refused.kind, reason=refused.reason, peer=peer, count=times)
        self._metrics.logins.labels(refused.kind).inc()
        request[LOGIN_OUTCOME] = LoginOutcome("", refused.reason)
        return _page(refused.status, "You are not signed in", refused.reason, ("/login", "Try again"))


def came_in_vain() -> web.Response:
    """For a browser that signed in a moment ago, and whose session is not known here: another login would be a loop."""
    words = (
        "You signed in a moment ago, and the archive does not know the session. Either the browser keeps no cookies, "
        "or processes of the archive have different secrets in login.session_key_file."
    )
    logger.warning("session is not known right after its login")
    return _page(400, "You are not signed in", words, ("/login", "Try again"))


def to_login(path_and_query: str, *, again: bool) -> web.Response:
    """For a browser without a valid session: `again` if it has a grant to renew it."""
    return _redirect(f"/login{'/again' if again else ''}?to={quote(path_and_query, safe='')}", ())


def _shown(session: Session) -> dict[str, object]:
    """What the page shows of a session; the name without our name of the issuer."""
    return {"name": session.identity.name.partition(":")[2], "until": int(session.until)}


def _page(status: int, title: str, words: str, link: tuple[str, str]) -> web.Response:
    response = web.Response(status=status, text=page_of(title, words, link), content_type="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    return _with_cookies(response, ())


def _redirect(url: str, cookies: Iterable[str]) -> web.Response:
    return _with_cookies(web.Response(status=303, headers={"Location": url}), cookies)


def _with_cookies(response: web.Response, cookies: Iterable[str]) -> web.Response:
    response.headers.update(_NEVER_KEPT)
    for cookie in cookies:
        response.headers.add("Set-Cookie", cookie)
    return response
