"""Whether a request with a cookie is from our own page: a browser sends cookies whichever page makes the request. Pure.

A token in a header is put there by a caller that knows it. A cookie is sent automatically, so its use needs proof of
the request's origin: the browser's Fetch Metadata (https://www.w3.org/TR/fetch-metadata/), else its Origin (RFC 6454
7).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


def origin_of(url: str) -> str:
    """The origin of a URL as browsers write it (RFC 6454 6.2): without the default port of the scheme."""
    parts = urlsplit(url)
    port = parts.port
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}" if port in (None, usual) else f"{parts.scheme}://{host}:{port}"


def is_from_our_page(method: str, headers: Mapping[str, str], origin: str) -> bool:
    """Whether a request with a cookie is from a page of `origin`. A reading request may also be typed into the browser,
    or come from a browser that does not state an origin."""
    reads = method in _SAFE and headers.get("Upgrade", "").strip().lower() != "websocket"
    named_origin = headers.get("Origin", "")
    if named_origin and named_origin != origin:
        return False
    site = headers.get("Sec-Fetch-Site", "").strip().lower()
    if site:
        return site == "same-origin" or (reads and site == "none")
    return reads or bool(named_origin)
