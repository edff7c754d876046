"""Who asks over HTTP to change something, and why."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from gantry.common.web.errors import HttpProblem
from gantry.common.web.server import CALLER, TRACE
from gantry.services.lifecycle.deletions import LONGEST_REASON, Asked

LOOPBACK = "loopback"
"""The name of a caller on this machine without a token."""


def caller_of(request: web.BaseRequest) -> str:
    """The name of the caller's token, or `LOOPBACK`."""
    name: str = request[CALLER].name
    return name or LOOPBACK


def reason_of(request: web.BaseRequest) -> str:
    """What the caller gives as its reason: it is kept for ever, and shown on one line. Raises `HttpProblem` 400."""
    reason = request.query.get("reason", "").strip()
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise HttpProblem(400, f"reason: one line of at most {LONGEST_REASON} characters")
    return reason


def corrector_of(request: web.BaseRequest, may_correct: Collection[str]) -> Asked:
    """Who corrects or moves something, and why: a reason is needed. Raises `HttpProblem` 400, and 403 for a caller that
    may not."""
    caller = caller_of(request)
    if caller not in may_correct:
        raise HttpProblem(403, "this caller may not correct; http.may_correct names those that may")
    reason = reason_of(request)
    if not reason:
        raise HttpProblem(400, "reason: say why, as a parameter of the URL")
    return Asked(caller, reason, request[TRACE])
