"""A request to share studies with people outside. Pure. Times are microseconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from unicodedata import normalize

from gantry.common.errors import NotUnderstood
from gantry.common.ids import is_uid

MOST_OPENINGS = 1000
"""The limit for a link without one."""
MOST_STUDIES = 50
SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 128
"""Characters."""
SHORTEST_REASON, LONGEST_REASON = 5, 200
"""Characters."""
_DAY_US = 24 * 3600 * 1_000_000
_KEYS = frozenset(("studies", "expires", "password", "openings", "download", "reason", "deidentify"))


@dataclass(frozen=True, slots=True)
class AskedShare:
    """A request to share. `openings` is 0 if it states no limit."""

    studies: tuple[str, ...]
    expires_at: int
    reason: str
    password: str = field(default="", repr=False)
    openings: int = 0
    download: bool = False
    deidentify: str = ""
    """The name of a profile; "" if studies are shown as they are."""


def asked_share(content: Any, now: int, longest_us: int) -> AskedShare:
    """A request to share from JSON; `longest_us` is the longest time until its end. Raises `NotUnderstood` in words
    that do not echo it."""
    if not isinstance(content, dict) or not content.keys() <= _KEYS:
        raise NotUnderstood(f"a share is an object with some of {', '.join(sorted(_KEYS))}")
    studies, password, openings = content.get("studies"), content.get("password", ""), content.get("openings", 0)
    if not isinstance(studies, list) or not 1 <= len(studies) <= MOST_STUDIES:
        raise NotUnderstood(f"studies: a list of 1 to {MOST_STUDIES} Study Instance UIDs")
    if not all(isinstance(uid, str) and is_uid(uid) for uid in studies):
        raise NotUnderstood("studies: what is no UID is in it")
    reason = content.get("reason", "")
    if not isinstance(reason, str) or not reason.isprintable():
        raise NotUnderstood("reason: one line of text")
    if not SHORTEST_REASON <= len(reason.strip()) <= LONGEST_REASON:
        raise NotUnderstood(f"reason: {SHORTEST_REASON} to {LONGEST_REASON} characters, to whom and what for")
    if not isinstance(password, str) or (password and not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD):
        raise NotUnderstood(f"password: {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    if type(openings) is not int or not 0 <= openings <= MOST_OPENINGS:
        raise NotUnderstood(f"openings: a number from 1 to {MOST_OPENINGS}")
    download = content.get("download", False)
    if not isinstance(download, bool):
        raise NotUnderstood("download: true or false")
    profile = content.get("deidentify", "")
    if not isinstance(profile, str):
        raise NotUnderstood("deidentify: the name of a profile")
    end = _end(content.get("expires"), now, longest_us)
    return AskedShare(tuple(dict.fromkeys(studies)), end, reason.strip(), password, openings, download, profile)


def password_bytes(password: str) -> bytes:
    """A password as it is hashed: the same for an accent that one keyboard composes and another does not (Unicode NFC,
    as RFC 8265 4.2)."""
    return normalize("NFC", password).encode("utf-8", "surrogatepass")


def _end(expires: Any, now: int, longest_us: int) -> int:
    try:
        # A time without a zone is ambiguous.
        expiry = datetime.fromisoformat(expires) if isinstance(expires, str) and len(expires) <= 40 else None
        if expiry is None or expiry.tzinfo is None:
            raise ValueError
        end = int(expiry.timestamp() * 1e6)
    except (ValueError, OverflowError):
        raise NotUnderstood("expires: a time with its zone, as 2026-12-24T18:00:00Z") from None
    if not now < end <= now + longest_us:
        raise NotUnderstood(f"expires: within {longest_us // _DAY_US} days from now (sharing.longest_days)")
    return end
