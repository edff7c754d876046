"""Where a subscription may lead to: below one of the URLs that the settings name, and nowhere else. Pure.

Whoever may subscribe could otherwise have the archive post to any address that it reaches (SSRF), and tell anybody of
studies. A host of the settings is trusted, whatever address its name has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from gantry.common.errors import NotUnderstood

LONGEST = 1024
"""Characters of an address."""
_PORTS = {"https": 443, "http": 80}
_PLAIN = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+")
"""What a URL is made of (RFC 3986 2); no backslash, which some take for a slash."""


def allowed_endpoint(url: str, allowed: Iterable[str]) -> str:
    """The URL, if it begins as one of `allowed` does, whole parts of its path compared. Raises `NotUnderstood`."""
    if not 0 < len(url) <= LONGEST or not _PLAIN.fullmatch(url):
        raise NotUnderstood(f"channel.endpoint: a URL of at most {LONGEST} characters")
    try:
        address = urlsplit(url)
        place = _place(address)
    except ValueError:
        raise NotUnderstood("channel.endpoint: no URL") from None
    if address.username is not None or address.password is not None or address.fragment:
        raise NotUnderstood("channel.endpoint: without user, password and fragment")
    # A server may take an encoded dot or slash for one (RFC 3986 6.2.2), and many drop what follows a semicolon: "..;"
    # leads up, too. What is compared is what is asked for.
    parts = [part.partition(";")[0] for part in address.path.split("/")]
    if any(part in (".", "..") for part in parts) or re.search(r"%(?:2e|2f|3b|5c)", address.path, re.IGNORECASE):
        raise NotUnderstood("channel.endpoint: without . and .. in its path, encoded or not")
    for endpoint in allowed:
        known = urlsplit(endpoint)
        if _place(known) == place and _is_below(address.path, known.path):
            return url
    raise NotUnderstood("channel.endpoint: not below one of subscriptions.endpoints (docs/fhir.md)")


def _place(url: SplitResult) -> tuple[str, str, int | None]:
    return url.scheme, (url.hostname or "").rstrip("."), url.port or _PORTS.get(url.scheme)


def _is_below(path: str, base: str) -> bool:
    base = base.rstrip("/")
    return path == base or path.startswith(f"{base}/")
