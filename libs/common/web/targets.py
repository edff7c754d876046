"""What a request asks for, in whatever form its target came (RFC 9112 3.2)."""

from __future__ import annotations

from aiohttp import web


def target_of(request: web.BaseRequest) -> str:
    """Path and query as they were sent. Of a target in absolute form, as a client sends it that takes us for a proxy,
    without scheme and host (RFC 9112 3.2.2: a server accepts it)."""
    raw = request.raw_path
    if raw.startswith("/") or raw == "*":
        return raw
    rest = request.rel_url.raw_path_qs
    return rest if rest.startswith("/") else f"/{rest}"


def host_in(request: web.BaseRequest) -> str:
    """The host and port that a request is for: those of an absolute target, whatever its Host header says (RFC 9112
    3.2.2), else those of the header; "" where it says none."""
    raw = request.raw_path
    if not raw.startswith("/") and "://" in raw:
        authority = raw.partition("://")[2].partition("/")[0].partition("?")[0]
        return authority.rpartition("@")[2]
    return request.headers.get("Host", "")
