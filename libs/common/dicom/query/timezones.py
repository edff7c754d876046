"""Timezone query adjustment (PS3.4 C.5.1.1, C.2.2.2.5): stored dates and times in another zone. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query import dates
from gantry.common.dicom.query.attributes import TIME_OF_DATE
from gantry.common.dicom.standard.tags import PATIENT_BIRTH_DATE, TIMEZONE_OFFSET_FROM_UTC
from gantry.common.dicom.standard.vrs import vr_of

_OFFSET = re.compile(r"[+-](?:0\d|1[0-4])[0-5]\d", re.ASCII)


def is_offset(value: str) -> bool:
    """Whether this is an offset from UTC as in PS3.3 C.12.1.1.8: &ZZXX, -1200 to +1400."""
    return _OFFSET.fullmatch(value) is not None


def in_zone(attributes: Mapping[int, Any], zone: str) -> Mapping[int, Any]:
    """Attributes with their dates and times in `zone`, an offset from UTC.

    A date is moved together with its time; a date without a time stays, and so does a birth date, and everything if the
    zone of the object is unknown. A DT value with an offset of its own is unchanged.
    """
    stored = [text_of(value) for value in attributes.get(TIMEZONE_OFFSET_FROM_UTC) or ()]
    if len(stored) != 1 or not is_offset(stored[0]) or not is_offset(zone):
        return attributes
    shift = _minutes(zone) - _minutes(stored[0])
    moved = {TIMEZONE_OFFSET_FROM_UTC: [zone]}
    for date_tag, time_tag in TIME_OF_DATE.items():
        if date_tag != PATIENT_BIRTH_DATE and date_tag in attributes and time_tag in attributes:
            moved |= _pair(date_tag, time_tag, attributes, shift)
    for tag, values in attributes.items():
        if vr_of(tag) == b"DT":
            moved[tag] = [_date_time(text_of(value), stored[0], shift) for value in values]
    return {**attributes, **moved}


def _minutes(offset: str) -> int:
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return -minutes if offset[0] == "-" else minutes


def _pair(date_tag: int, time_tag: int, attributes: Mapping[int, Any], shift: int) -> dict[int, list[Any]]:
    days, times = attributes[date_tag], attributes[time_tag]
    if len(days) != 1 or len(times) != 1:
        return {}
    day, time = dates.date(text_of(days[0])), dates.time(text_of(times[0]))
    moved = None if day is None or time is None else _moved(day + time[:6], shift)
    if moved is None or time is None:
        return {}
    fraction = text_of(times[0]).partition(".")[2]
    return {date_tag: [moved[:8]], time_tag: [moved[8:] + (f".{fraction}" if fraction else "")]}


def _date_time(value: str, stored: str, shift: int) -> str:
    """A DT without an offset is in the zone of its object (PS3.5 6.2)."""
    digits, point, fraction = value.partition(".")
    if dates.date_time(value) is None or not digits.isdigit():
        return value
    if len(digits) < 10:
        return value  # a day, or less precise: a shift by hours does not apply
    moved = _moved(digits.ljust(14, "0"), shift)
    return value if moved is None else moved[: len(digits) if shift % 60 == 0 else 14] + point + fraction


def _moved(digits: str, shift: int) -> str | None:
    try:
        moment = datetime.strptime(digits, "%Y%m%d%H%M%S") + timedelta(minutes=shift)  # noqa: DTZ007
    except (ValueError, OverflowError):
        return None
    return f"{moment.year:04d}{moment:%m%d%H%M%S}"
