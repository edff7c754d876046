"""Header fields by RFC 9110: lists in one line or several, quoted strings, weights. Pure.

Every scan here is linear in its input, and reads at most `LONGEST` characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from multidict import CIMultiDict, CIMultiDictProxy

LONGEST = 16384
"""Characters of a field's value, all its lines together."""
LONGEST_ITEM = 1024
"""Characters of one media type with its parameters: the longest that clients send have some 200."""

# RFC 9110 5.3: these have one value. With a second line it would be undefined which one counts.
_SINGLE = frozenset(
    (
        *("authorization", "content-encoding", "content-length", "content-location", "content-type", "host"),
        *("if-modified-since", "if-range", "if-unmodified-since", "origin", "range", "referer", "sec-fetch-site"),
        *("traceparent", "user-agent"),
    )
)
_MARK = re.compile(r'["\\,;]')
_WEIGHT = re.compile(r"(\d{0,3})(?:\.(\d{0,9}))?", re.ASCII)


def combined(headers: CIMultiDictProxy[str]) -> CIMultiDictProxy[str]:
    """RFC 9110 5.3: several lines of one field are one list, in their order. Raises `ValueError` with a reason: a
    single-valued field that occurs twice, or a field that is too long."""
    names = list(headers)  # each once, though the length counts lines
    if len(names) == len(headers):
        return headers
    return CIMultiDictProxy(CIMultiDict((name, _value(name, headers.getall(name))) for name in names))


def _value(name: str, lines: list[str]) -> str:
    if len(lines) == 1:
        return lines[0]
    if name.lower() in _SINGLE:
        raise ValueError(f"the header field {name.lower()} is there twice")
    value = ", ".join(lines)
    if len(value) > LONGEST:
        raise ValueError("a header field is too long")
    return value


def split(text: str, separator: str) -> list[str]:
    """The pieces between separators ("," or ";") outside of quoted strings (RFC 9110 5.6.4). A quoted string that is
    not closed reaches to the end."""
    pieces: list[str] = []
    start, skipped, quoted = 0, -1, False
    for mark in _MARK.finditer(text):
        at = mark.start()
        if at == skipped:
            continue
        if mark[0] == '"':
            quoted = not quoted
        elif mark[0] == "\\":
            skipped = at + 1 if quoted else -1
        elif mark[0] == separator and not quoted:
            pieces.append(text[start:at])
            start = at + 1
    pieces.append(text[start:])
    return pieces


def weight(text: str) -> float:
    """A `q` (RFC 9110 12.4.2), from 0 to 1; 0 if it is not valid."""
    text = text.strip()
    if not text.strip(".") or _WEIGHT.fullmatch(text) is None:
        return 0.0
    return min(float(text), 1.0)


def items(headers: Mapping[str, str], name: str) -> list[str]:
    """A list field whose items hold no quoted strings (Accept-Encoding, X-Forwarded-For): stripped, empty ones left
    out. Only the last `LONGEST` characters count: later entries were added nearer to us."""
    return [item.strip() for item in headers.get(name, "")[-LONGEST:].split(",") if item.strip()]
