"""Who asks over HTTP to change something, whether they may, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aiohttp import web

from gantry.common.access import Means, Verb
from gantry.common.config.values import REJECTION_CODES
from gantry.common.web.errors import HttpProblem
from gantry.common.web.server import CALLER

LOOPBACK = "loopback"
"""The name of a caller on this machine without a token."""
LONGEST_REASON = 200
"""Characters, on one line."""


def caller_of(request: web.BaseRequest) -> str:
    """The name of the caller's token, or `LOOPBACK`."""
    name: str = request[CALLER].name
    return name or LOOPBACK


def may(request: web.BaseRequest, verb: Verb, names: Collection[str]) -> bool:
    """Whether the caller may: by a role, or, with a token of ours or on this machine, by its name. Somebody whom an
    issuer sends, or a link, is not known by name: there he may choose it himself."""
    caller = request[CALLER]
    if verb in caller.verbs:
        return True
    return caller.identity.means not in (Means.ISSUER, Means.SHARE) and (caller.name or LOOPBACK) in names


def picture_caching(request: web.BaseRequest, seconds: int) -> str:
    """Cache-Control of a picture with an ETag. Whoever uses this browser next may not see it: it is asked for again
    each time, which costs an answer without a body. Where this machine needs no token it is kept for `seconds`."""
    is_anybody = request[CALLER].identity.means is Means.MACHINE
    return f"private, max-age={seconds}" if is_anybody else "private, no-cache"


def rejecting_codes(request: web.BaseRequest, may_reject: Mapping[str, Collection[str]]) -> Collection[str]:
    """The codes with which the caller may reject: all by a role, or those of its name. None for who sees some studies
    only: a rejection note says of any instance whether it is there."""
    caller = request[CALLER]
    if not caller.sight.whole:
        return ()
    if Verb.REJECT in caller.verbs:
        return REJECTION_CODES
    return may_reject.get(caller.name or LOOPBACK, ()) if may(request, Verb.REJECT, may_reject) else ()


def reason_of(request: web.BaseRequest) -> str:
    """What the caller gives as its reason: it is kept for ever, and shown on one line. Raises `HttpProblem` 400."""
    reason = request.query.get("reason", "").strip()
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise HttpProblem(400, f"reason: one line of at most {LONGEST_REASON} characters")
    return reason
