"""The target of a request, in any of its forms (RFC 9112 3.2)."""

from __future__ import annotations

from aiohttp import web


def target_of(request: web.BaseRequest) -> str:
    """Path and query as they were sent. For a target in absolute form, from a client that takes us for a proxy, without
    scheme and host (RFC 9112 3.2.2: a server accepts it)."""
    raw = request.raw_path
    if raw.startswith("/") or raw == "*":
        return raw
    rest = request.rel_url.raw_path_qs
    return rest if rest.startswith("/") else f"/{rest}"


def host_in(request: web.BaseRequest) -> str:
    """The host and port that a request is for: those of an absolute target, regardless of the Host header (RFC 9112
    3.2.2), else those of the header; "" if it has none."""
    raw = request.raw_path
    if not raw.startswith("/") and "://" in raw:
        authority = raw.partition("://")[2].partition("/")[0].partition("?")[0]
        return authority.rpartition("@")[2]
    return request.headers.get("Host", "")
