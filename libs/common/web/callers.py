"""Who asks over HTTP to change something, and why."""

from __future__ import annotations

from aiohttp import web

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


def reason_of(request: web.BaseRequest) -> str:
    """What the caller gives as its reason: it is kept for ever, and shown on one line. Raises `HttpProblem` 400."""
    reason = request.query.get("reason", "").strip()
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise HttpProblem(400, f"reason: one line of at most {LONGEST_REASON} characters")
    return reason
