"""Dates as people write them, for keys of VR DA: the forms of PS3.4 C.2.2.2.5, and more. Pure.

20240131  2024-01-31  today  yesterday            one day
2024-01-01-2024-01-31  20240101-  -2024-01-31     from, until
-7d  -2w                                          the last days or weeks, today among them
"""

from __future__ import annotations

import re
from datetime import date, timedelta

_DAY = r"\d{8}|\d{4}-\d{2}-\d{2}|\d{4}\.\d{2}\.\d{2}|today|yesterday"
_RANGE = re.compile(rf"({_DAY})?(-)?({_DAY})?", re.ASCII | re.IGNORECASE)
_LAST = re.compile(r"-(\d{1,5})([dw])", re.ASCII | re.IGNORECASE)


def as_da(text: str, today: date) -> str:
    """A value or range for an identifier. Raises `ValueError` with a reason."""
    last = _LAST.fullmatch(text)
    if last is not None:
        days = int(last[1]) * (7 if last[2].lower() == "w" else 1)
        return f"{today - timedelta(days=days):%Y%m%d}-"
    match = _RANGE.fullmatch(text)
    if match is None or not (match[1] or match[3]) or (match[1] and match[3] and not match[2]):
        raise ValueError(f"{text!r} is not a date: 20240131, 2024-01-31, today, yesterday, -7d, or FROM-UNTIL")
    first, dash, second = (_day(part, today) if part and part != "-" else part or "" for part in match.groups())
    return f"{first}{dash}{second}"


def _day(text: str, today: date) -> str:
    if text.lower() in ("today", "yesterday"):
        return f"{today - timedelta(days=text.lower() == 'yesterday'):%Y%m%d}"
    digits = text.replace("-", "").replace(".", "")
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise ValueError(f"{text!r} is not a day of the calendar") from None
    return digits
