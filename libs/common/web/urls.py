"""The URL by which clients reach this server, and the types that they accept."""

from __future__ import annotations

import re

from aiohttp import web

from gantry.common.web.targets import host_in

PROTO = "X-Forwarded-Proto"
"""The header in which a proxy names the protocol of its client."""
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


def base_url(request: web.BaseRequest, public_url: str | None) -> str:
    """The prefix of our URLs: as configured, else the host that the client named; "" if that is not a valid host."""
    if public_url:
        return public_url.rstrip("/")
    host = host_in(request)
    return f"{scheme_of(request)}://{host}" if _HOST.fullmatch(host) else ""


def scheme_of(request: web.BaseRequest) -> str:
    """`https` if the client uses TLS to us, or states that it does to a proxy before us: this affects only the
    addresses in its own answer."""
    tls = request.transport is not None and request.transport.get_extra_info("ssl_object") is not None
    return "https" if tls or request.headers.get(PROTO, "").strip().lower() == "https" else "http"


def accept_of(request: web.BaseRequest) -> str:
    """PS3.18 8.3.3.1: the accept query parameter takes precedence over the header."""
    media_types = request.query.getall("accept", [])
    # A plus sign in a query decodes to a space; media types have none.
    return (
        ",".join(media_types).replace(" json", "+json").replace(" xml", "+xml")
        if media_types
        else request.headers.get("Accept", "")
    )
