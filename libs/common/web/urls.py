"""The URL by which clients reach this server, and the types that they accept."""

from __future__ import annotations

import re

from aiohttp import web

from gantry.common.web.targets import host_in

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


def base_url(request: web.BaseRequest, public_url: str | None) -> str:
    """The prefix of our URLs: as configured, else the host that the client named; "" if that is not a valid host."""
    if public_url:
        return public_url.rstrip("/")
    host = host_in(request)
    return f"http://{host}" if _HOST.fullmatch(host) else ""


def accept_of(request: web.BaseRequest) -> str:
    """PS3.18 8.3.3.1: the accept query parameter takes precedence over the header."""
    given = request.query.getall("accept", [])
    # A plus sign in a query decodes to a space; media types have none.
    return (
        ",".join(given).replace(" json", "+json").replace(" xml", "+xml")
        if given
        else request.headers.get("Accept", "")
    )
