"""Whether a request by a cookie is from our own page: a browser sends cookies whoever has it ask. Pure.

A token in a header is put there by who knows it. A cookie comes by itself, so what it allows needs proof of where the
request is from: what the browser says of it (https://www.w3.org/TR/fetch-metadata/), else its Origin (RFC 6454 7).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


def origin_of(url: str) -> str:
    """The origin of a URL as browsers write it (RFC 6454 6.2): without the port that the scheme has anyway."""
    parts = urlsplit(url)
    port = parts.port
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}" if port in (None, usual) else f"{parts.scheme}://{host}:{port}"


def is_from_our_page(method: str, headers: Mapping[str, str], origin: str) -> bool:
    """Whether a request that a cookie is to speak for is from a page of `origin`. What only reads may also be typed
    into the browser, or come from one that says nothing."""
    reads = method in _SAFE and headers.get("Upgrade", "").strip().lower() != "websocket"
    told = headers.get("Origin", "")
    if told and told != origin:
        return False
    site = headers.get("Sec-Fetch-Site", "").strip().lower()
    if site:
        return site == "same-origin" or (reads and site == "none")
    return reads or bool(told)
