"""Dates moved by a number of days (PS3.15 E.3.6, Retain Longitudinal Temporal Information with Modified Dates). Pure.

Times of day stay: what was measured how long after what is what the option is for.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

from gantry.common.deidentify.values import dummy

_DATE_TIME = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2,6}(?:\.\d{1,6})?)?([+-]\d{4})?", re.ASCII)
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})", re.ASCII)
_TIME = re.compile(r"[\d:]{2,8}(?:\.\d{1,6})?", re.ASCII)


def moved(vr: bytes, value: str, days: int) -> str:
    """Values of VR DA, DT or TM, separated by backslashes, `days` later. What cannot be read becomes a dummy value: it
    may be anything."""
    move = {b"DA": _moved_date, b"DT": _moved_date_time, b"TM": _time}[vr]
    return "\\".join([_or_dummy(vr, move(part.strip(" \0"), days)) for part in value.split("\\")])


def _or_dummy(vr: bytes, value: str | None) -> str:
    return str(dummy(vr)) if value is None else value


def _moved_date(value: str, days: int) -> str | None:
    if not value:
        return ""
    match = _DATE.fullmatch(value)
    return None if match is None else _day(int(match[1]), int(match[2]), int(match[3]), days)


def _moved_date_time(value: str, days: int) -> str | None:
    """PS3.5 6.2, DT: a value without a day is that of the first; as precise as it was. Its offset from UTC goes: it
    says where on Earth it was."""
    if not value:
        return ""
    match = _DATE_TIME.fullmatch(value)
    if match is None:
        return None
    day = _day(int(match[1]), int(match[2] or 1), int(match[3] or 1), days)
    length = 8 if match[3] else 6 if match[2] else 4
    return None if day is None else day[:length] + (match[4] or "" if match[3] else "")


def _day(year: int, month: int, day: int, days: int) -> str | None:
    try:
        moved_day = date(year, month, day) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return f"{moved_day.year:04d}{moved_day.month:02d}{moved_day.day:02d}"


def _time(value: str, days: int) -> str | None:
    return value if not value or _TIME.fullmatch(value) else None
