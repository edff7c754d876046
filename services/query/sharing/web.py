"""Links for people outside.

POST    /dicom-web/shares        {"studies": [UID], "expires": TIME, "reason": TEXT}, and optional fields
GET     /dicom-web/shares        those that the caller made; all for callers that may operate
DELETE  /dicom-web/shares/NAME   the link is revoked, and its visitors lose access; ?reason=
GET     /s/TOKEN                 the page of a link. It changes nothing: robots that make previews open none
POST    /s/TOKEN                 the link is opened: a cookie, and on to the images
"""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from gantry.common.access import Verb
from gantry.common.access.asked_shares import asked_share
from gantry.common.access.share_passes import NAME
from gantry.common.access.shares import ShareRefusal
from gantry.common.clock import Clock
from gantry.common.errors import NotFound, NotUnderstood
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.deidentification_profiles import Profiles
from gantry.common.runtime.followed_shares import FollowedShares
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.rate_limited import RateLimited
from gantry.common.web.bodies import body_of
from gantry.common.web.callers import caller_of, may, reason_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.json_bodies import json_body
from gantry.common.web.login_outcome import LOGIN_OUTCOME, LoginOutcome
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import CALLER, TRACE, Handler
from gantry.common.web.sessions import Sessions
from gantry.common.web.shares import SealedShares
from gantry.services.query.sharing.entering import Entrance, LetIn, RefusedVisitor
from gantry.services.query.sharing.forms import LONGEST, password_of
from gantry.services.query.sharing.making import made, revoked, sharing_profiles, shown, time_of
from gantry.services.query.sharing.pages import POLICY, STATUS, message_page, refused, welcome

_NEVER_KEPT = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
_STALL_SECONDS = 30.0
_NOT_HERE = HttpProblem(404, "nothing can be shared here: sharing.key_file is not set (docs/sharing.md)")
_SIGNED_IN = (
    "This browser is signed in to the archive, so that you would go on as who you are there. Sign out, or open the "
    "link in a private window."
)
OF_SHARES = (
    *(Resource.CREATE_SHARE, Resource.SHARES, Resource.REVOKE_SHARE),
    *(Resource.SHARE, Resource.ENTER_SHARE),
)
logger = get_logger("shares")


async def no_shares(request: web.BaseRequest, match: Match) -> web.StreamResponse:
    """The handler if links are not configured."""
    raise _NOT_HERE


class ShareService:
    """The handlers of links."""

    def __init__(
        self,
        sealed: SealedShares,
        followed: FollowedShares,
        index: ReadIndex,
        clock: Clock,
        metrics: Metrics,
        longest_us: int,
        may_share: Collection[str],
        may_operate: Collection[str],
        sessions: Sessions | None = None,
        profiles: Profiles | None = None,
    ) -> None:
        """`longest_us` is the longest time until the end of a link; `may_share` and `may_operate` are the names of
        tokens, and `LOOPBACK`. `profiles` are those by which shared studies may be de-identified."""
        self._profiles = profiles or Profiles()
        self._sealed = sealed
        self._followed = followed
        self._index = index
        self._clock = clock
        self._metrics = metrics
        self._longest_us = longest_us
        self._may_share = frozenset(may_share)
        self._may_operate = frozenset(may_operate)
        self._sessions = sessions
        self._entrance = Entrance(followed, clock)
        self._seldom = RateLimited()

    def handlers(self) -> dict[Resource, Handler]:
        """For the HTTP server."""
        return {
            Resource.CREATE_SHARE: self._create,
            Resource.SHARES: self._list,
            Resource.REVOKE_SHARE: self._revoke,
            Resource.SHARE: self._look,
            Resource.ENTER_SHARE: self._enter,
        }

    # ---- for those who share

    async def _create(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        self._require(request)
        now = self._clock.now_us()
        try:
            terms = asked_share(await json_body(request), now, self._longest_us)
        except NotUnderstood as error:
            raise HttpProblem(400, str(error)) from error
        try:
            share = await made(terms, self._index, caller_of(request), request[TRACE], now, self._profiles)
        except NotFound as error:
            raise HttpProblem(404, str(error)) from error
        except NotUnderstood as error:
            raise HttpProblem(400, str(error)) from error
        created = share.created
        await self._followed.tell(created)
        self._metrics.shares.labels("created").inc()
        logger.info("link made", share=created.share, caller=created.by, studies=len(created.studies))
        answer = {
            "share": created.share,
            "link": self._sealed.link(share.token),
            "expires": time_of(created.expires_at),
        }
        return web.json_response(answer, status=201, headers=_NEVER_KEPT)

    async def _list(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        self._require(request)
        every, by, now = self._sees_all(request), caller_of(request), self._clock.now_us()
        shares = [share for share in (await self._followed.current()).all() if share.created is not None]
        rows = [
            shown(share, now) for share in shares if share.created is not None and (every or share.created.by == by)
        ]
        answer = {"shares": rows, "profiles": sharing_profiles(self._profiles)}
        return web.json_response(answer, headers=_NEVER_KEPT)

    async def _revoke(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        self._require(request)
        if len(match.rest) != 1:
            raise HttpProblem(404, "no such link")
        shares, by, now = await self._followed.latest(), caller_of(request), self._clock.now_us()
        why, every = reason_of(request), self._sees_all(request)
        event = revoked(shares, match.rest[0], by, why, request[TRACE], now, of_anyone=every)
        if event is not None:
            await self._followed.tell(event)
            self._metrics.shares.labels("revoked").inc()
            logger.info("link revoked", share=event.share, caller=by)
        return web.Response(status=204, headers=_NEVER_KEPT)

    def _require(self, request: web.BaseRequest) -> None:
        if not may(request, Verb.SHARE, self._may_share):
            raise HttpProblem(403, "this caller may not share; http.may_share names those that may")

    def _sees_all(self, request: web.BaseRequest) -> bool:
        return may(request, Verb.OPERATE, self._may_operate)

    # ---- for those who come

    async def _look(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        share = await self._entrance.share_of(match.rest[0])
        refusal = ShareRefusal.UNKNOWN if share is None else share.refusal(self._clock.now_us())
        if share is None or share.created is None or refusal is not None:
            return self._page(
                STATUS[refusal or ShareRefusal.UNKNOWN], refused(refusal or ShareRefusal.UNKNOWN), forget=True
            )
        made_ = share.created
        return self._page(200, welcome(_in_words(made_.expires_at), password=bool(made_.password)))

    async def _enter(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        password = password_of(b"".join([piece async for piece in body_of(request, LONGEST, _STALL_SECONDS)]))
        if self._sessions is not None and self._sessions.identity(request.headers) is not None:
            self._metrics.share_openings.labels("signed-in").inc()
            return self._page(409, message_page("You are signed in", _SIGNED_IN))
        outcome = await self._entrance.enter(match.rest[0], password, request[TRACE])
        if isinstance(outcome, RefusedVisitor):
            return await self._turned_away(request, match, outcome)
        return self._let_in(request, outcome)

    def _let_in(self, request: web.BaseRequest, entered: LetIn) -> web.StreamResponse:
        self._metrics.share_openings.labels("opened").inc()
        name = entered.share_pass.share
        request[LOGIN_OUTCOME] = LoginOutcome(f"{NAME}{name}", by="share link", studies=entered.originals)
        logger.info("link opened", share=name, peer=str(request[CALLER].address))
        where = f"/?study={entered.studies[0]}" if len(entered.studies) == 1 else "/"
        headers = {**_NEVER_KEPT, "Location": where, "Set-Cookie": self._sealed.sealed(entered.share_pass)}
        return web.Response(status=303, headers=headers)

    async def _turned_away(self, request: web.BaseRequest, match: Match, why: RefusedVisitor) -> web.StreamResponse:
        self._metrics.share_openings.labels(why.refusal.value).inc()
        peer = str(request[CALLER].address)
        # Each refusal is recorded; an address that guesses all day must not fill the log.
        kind = (peer, why.share, why.refusal)
        if times := self._seldom.times(kind, self._clock.monotonic()):
            logger.warning("link not opened", share=why.share, kind=why.refusal.value, peer=peer, count=times)
        name = f"{NAME}{why.share}" if why.share else ""
        request[LOGIN_OUTCOME] = LoginOutcome(name, why.refusal.value, by="share link")
        share = await self._entrance.share_of(match.rest[0])
        if why.refusal is ShareRefusal.WRONG and share is not None and share.created is not None:
            page = welcome(_in_words(share.created.expires_at), password=True, wrong=True)
            return self._page(STATUS[why.refusal], page)
        response = self._page(STATUS[why.refusal], refused(why.refusal, why.wait))
        if why.wait:
            response.headers["Retry-After"] = str(why.wait)
        return response

    def _page(self, status: int, text: str, *, forget: bool = False) -> web.Response:
        headers = {**_NEVER_KEPT, "Content-Security-Policy": POLICY}
        if forget:
            headers["Set-Cookie"] = self._sealed.gone()
        return web.Response(status=status, text=text, content_type="text/html", headers=headers)


def _in_words(at_us: int) -> str:
    return time_of(at_us).replace("T", ", ").replace(":00Z", " UTC").replace("Z", " UTC")
