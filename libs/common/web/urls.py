"""How clients call us, and what they take."""

from __future__ import annotations

import re

from aiohttp import web

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


def base_url(request: web.BaseRequest, public_url: str | None) -> str:
    """What stands before the path of our URLs: as configured, else the host that the client named; a path alone where
    that is none."""
    if public_url:
        return public_url.rstrip("/")
    host = request.headers.get("Host", "")
    return f"http://{host}" if _HOST.fullmatch(host) else ""


def accept_of(request: web.BaseRequest) -> str:
    """PS3.18 8.3.3.1: the query parameter goes before the header."""
    given = request.query.getall("accept", [])
    # A plus sign in a query is a space to whoever decodes it; media types have none.
    return (
        ",".join(given).replace(" json", "+json").replace(" xml", "+xml")
        if given
        else request.headers.get("Accept", "")
    )
