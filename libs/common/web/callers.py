"""The callers of changes over HTTP, their permissions, and their reasons."""

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
    """Whether the caller may: by a role, or, with a token of ours or on this machine, by its name. Names from an issuer
    or a link do not count: their owners may choose them."""
    caller = request[CALLER]
    if verb in caller.verbs:
        return True
    return caller.identity.means not in (Means.ISSUER, Means.SHARE) and (caller.name or LOOPBACK) in names


def picture_caching(request: web.BaseRequest, seconds: int) -> str:
    """Cache-Control of a picture with an ETag. The next user of this browser must not see it: so it is revalidated each
    time, with an answer without a body. On this machine without tokens it is cached for `seconds`."""
    is_anybody = request[CALLER].identity.means is Means.MACHINE
    return f"private, max-age={seconds}" if is_anybody else "private, no-cache"


def rejecting_codes(request: web.BaseRequest, may_reject: Mapping[str, Collection[str]]) -> Collection[str]:
    """The codes with which the caller may reject: all by a role, or those of its name. None for a caller that sees only
    some studies: a rejection note reveals whether an instance exists."""
    caller = request[CALLER]
    if not caller.sight.whole:
        return ()
    if Verb.REJECT in caller.verbs:
        return REJECTION_CODES
    return may_reject.get(caller.name or LOOPBACK, ()) if may(request, Verb.REJECT, may_reject) else ()


def reason_of(request: web.BaseRequest) -> str:
    """The caller's reason: it is stored for ever, and shown on one line. Raises `HttpProblem` 400."""
    reason = request.query.get("reason", "").strip()
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise HttpProblem(400, f"reason: one line of at most {LONGEST_REASON} characters")
    return reason
