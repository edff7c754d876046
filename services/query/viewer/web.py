"""Answers for the page and for OHIF. Their files are public; the data they show comes from DICOMweb, which is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from gantry.common.errors import GantryError, NotUnderstood
from gantry.common.web.bodies import answer
from gantry.common.web.cookies import CAME
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import is_known
from gantry.common.web.routes import Match
from gantry.common.web.sessions import Sessions
from gantry.common.web.shares import SealedShares
from gantry.services.query.login.service import BY_GRANT, came_in_vain, to_login
from gantry.services.query.viewer.files import Served, ohif_file, page_file
from gantry.services.query.viewer.invoked import PATH, address_of


class Page:
    """The handler of `Resource.PAGE`."""

    def __init__(
        self,
        ohif: Path | None = None,
        ae_title: str = "",
        port: int = 0,
        quiet: float = 0.0,
        sessions: Sessions | None = None,
        shares: SealedShares | None = None,
        *,
        lab: bool = False,
    ) -> None:
        """`ohif` is the folder of OHIF's built `dist`, if any; `ae_title` and `port` are the address to send to;
        `quiet` is `completion.quiet`, `lab` as `page_file` has it. With `sessions`, a user needs one, signs in, or
        opened one of `shares`."""
        self._ohif = ohif
        self._values = ae_title, port, quiet
        self._lab = lab
        self._sessions = sessions
        self._shares = shares

    async def __call__(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        if match.rest == (PATH,):
            return _invoked(request)
        if match.rest == ("ohif",):
            return web.Response(status=302, headers={"Location": "/"})  # OHIF has no list of its own here
        share = await self._share(request)
        login = self._sessions is not None and not share
        file = await asyncio.to_thread(self._find, match.rest, login, share)
        if file is None:
            raise HttpProblem(404, "no such page")
        if file.media_type.startswith("text/html") and login and self._sessions is not None:
            elsewhere = _sent_to_login(request, self._sessions)
            if elsewhere is not None:
                return elsewhere
        headers = _headers(file)
        if is_known(request.headers, file.etag):
            return web.Response(status=304, headers=headers)
        return await answer(request, file.content, file.media_type, headers)

    async def _share(self, request: web.BaseRequest) -> str:
        """ "look" or "take" for a visitor from outside, who cannot sign in; "" for anyone else. A session takes
        precedence over a link."""
        if self._shares is None or (self._sessions is not None and self._sessions.identity(request.headers)):
            return ""
        brought = self._shares.brought(request.headers)
        if brought is None or self._shares.is_over(brought):
            return ""
        try:
            return "take" if (await self._shares.shown(brought)).download else "look"
        except GantryError:
            return "look"  # revoked, or unknown now: the page's own requests report why

    def _find(self, path: tuple[str, ...], login: bool, share: str) -> Served | None:
        if path[:1] == ("ohif",):
            return ohif_file("/".join(path[1:]), self._ohif, login=login)
        return page_file("/".join(path), self._ohif, *self._values, lab=self._lab, login=login, share=share)


def _invoked(request: web.BaseRequest) -> web.Response:
    """IHE RAD-106, from another system: redirect to the page, which knows its user."""
    try:
        address = address_of(request.rel_url.query)
    except NotUnderstood as error:
        raise HttpProblem(400, str(error)) from error
    headers = {"Location": address, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
    return web.Response(status=303, headers=headers)


def _sent_to_login(request: web.BaseRequest, sessions: Sessions) -> web.Response | None:
    """A redirect to the login, for a browser without a session."""
    session, grant = sessions.session(request.headers), sessions.grant(request.headers)
    if session is not None and sessions.now() < session.until:
        return None
    came = sessions.cookies.value(request.headers, CAME)
    if came == BY_GRANT or (came and grant is None):
        return came_in_vain()
    return to_login(request.rel_url.raw_path_qs, again=grant is not None)


def _headers(file: Served) -> dict[str, str]:
    headers = {
        "Content-Security-Policy": file.policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "max-age=31536000, immutable" if file.forever else "no-cache",
        "ETag": file.etag,
    }
    if file.isolated:
        alone = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
        headers |= alone | {"Cross-Origin-Resource-Policy": "same-origin"}
    return headers
