"""Dates and times (VRs DA, TM, DT; PS3.5 6.2) as digits that compare as the moments do."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_DATE = re.compile(r"(\d{4})(?:(\d{2})(\d{2})|\.(\d{2})\.(\d{2}))", re.ASCII)
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?", re.ASCII)
_DATE_TIME = re.compile(r"(\d{4}(?:\d{2}){0,5})(?:\.(\d{1,6}))?([+-]\d{4})?", re.ASCII)


def date(value: str) -> str | None:
    """YYYYMMDD; the form with periods of ACR-NEMA 300 is accepted, too. None if the value is not a date."""
    match = _DATE.fullmatch(value)
    if match is None:
        return None
    year, month, day, old_month, old_day = match.groups()
    digits: str = year + (month or old_month) + (day or old_day)
    return digits if "01" <= digits[4:6] <= "12" and "01" <= digits[6:8] <= "31" else None


def time(value: str, fill: str = "0") -> str | None:
    """HHMMSSFFFFFF, missing components filled with "0" (the earliest moment meant) or "9" (the latest)."""
    match = _TIME.fullmatch(value)
    if match is None or match.group(1) > "23":
        return None
    hours, minutes, seconds, fraction = match.groups()
    return ((hours + (minutes or "") + (seconds or "")).ljust(6, fill) + (fraction or "")).ljust(12, fill)


def date_time(value: str, fill: str = "0") -> str | None:
    """YYYYMMDDHHMMSSFFFFFF, in UTC if the value has an offset, unchanged if it has none."""
    match = _DATE_TIME.fullmatch(value)
    if match is None:
        return None
    digits, fraction, offset = match.groups()
    if offset is None:
        return (digits.ljust(14, fill) + (fraction or "")).ljust(20, fill)
    return _in_utc(digits, fraction, offset, fill)


def _in_utc(digits: str, fraction: str | None, offset: str, fill: str) -> str | None:
    earliest = "00000101000000"
    latest = "00001231235959"
    whole = digits + (earliest if fill == "0" else latest)[len(digits) :]
    shift = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
    try:
        local = datetime.strptime(whole, "%Y%m%d%H%M%S")  # noqa: DTZ007 - the offset is subtracted here
        moment = local - shift if offset[0] == "+" else local + shift
    except (ValueError, OverflowError):
        return None
    return f"{moment.year:04d}{moment:%m%d%H%M%S}" + (fraction or "").ljust(6, fill)


def normal(vr: str, value: str, fill: str = "0") -> str | None:
    """The comparable form of a DA, TM or DT value; None if it is invalid."""
    if vr == "DA":
        return date(value)
    return time(value, fill) if vr == "TM" else date_time(value, fill)


def split_range(vr: str, value: str) -> tuple[str, str] | None:
    """The two ends of a range (PS3.4 C.2.2.2.5), "" for an open one; None for a single value.

    A DT may end with an offset: a hyphen with four digits after it is one as long as it can be (PS3.5 6.2: -1200 to
    +1400).
    """
    if "-" not in value:
        return None
    if vr != "DT":
        first, _, last = value.partition("-")
        return first.strip(), last.strip()
    single = _DATE_TIME.fullmatch(value)
    if single is not None and single.group(3) is not None and single.group(3)[1:] <= "1400":
        return None
    for match in re.finditer("-", value):
        first, last = value[: match.start()].strip(), value[match.end() :].strip()
        if (not first or _DATE_TIME.fullmatch(first)) and (not last or _DATE_TIME.fullmatch(last)):
            return first, last
    return value, value


def day_beside(value: str, days: int) -> str | None:
    """The day `days` after a DA value, YYYYMMDD; None if it is not a date, or outside the calendar."""
    day = date(value)
    try:
        return None if day is None else f"{datetime.strptime(day, '%Y%m%d') + timedelta(days):%Y%m%d}"  # noqa: DTZ007
    except (ValueError, OverflowError):
        return None
