"""What is stored, as it is called in another zone."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.query.timezones import in_zone, is_offset

DATE, TIME, MOMENT, ZONE = 0x00080020, 0x00080030, 0x0008002A, 0x00080201


def offset(minutes: int) -> str:
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"


@given(
    st.datetimes(datetime(1900, 1, 2), datetime(2100, 1, 1)).map(lambda d: d.replace(microsecond=0)),
    st.integers(-720, 840),
    st.integers(-720, 840),
)
def test_a_moment_is_the_same_in_both_zones(local: datetime, stored: int, zone: int) -> None:
    attributes = {DATE: [f"{local:%Y%m%d}"], TIME: [f"{local:%H%M%S}"], ZONE: [offset(stored)]}
    values = in_zone(attributes, offset(zone))
    read = datetime.strptime(values[DATE][0] + values[TIME][0], "%Y%m%d%H%M%S")
    zones = [timezone(timedelta(minutes=minutes)) for minutes in (stored, zone)]
    assert read.replace(tzinfo=zones[1]) == local.replace(tzinfo=zones[0])
    assert values[ZONE] == [offset(zone)]


@pytest.mark.parametrize(
    "attributes",
    [
        {DATE: ["20240131"], TIME: ["2330"]},  # nobody said which zone that was
        {DATE: ["20240131"], TIME: ["2330"], ZONE: ["somewhere"]},
        {DATE: ["20240131"], ZONE: ["+0000"]},
        {DATE: ["junk"], TIME: ["2330"], ZONE: ["+0000"]},
        {DATE: ["20240131", "20240201"], TIME: ["2330"], ZONE: ["+0000"]},
        {DATE: ["99991231"], TIME: ["2330"], ZONE: ["+0000"]},  # the calendar ends
    ],
)
def test_what_cannot_be_moved_stays(attributes: dict[int, list[str]]) -> None:
    values = in_zone(attributes, "+0200")
    assert {tag: values[tag] for tag in attributes if tag != ZONE} == {t: v for t, v in attributes.items() if t != ZONE}


def test_date_times_are_moved_unless_they_have_an_offset_of_their_own() -> None:
    moments = ["20240131233000.25", "2024013123", "20240131", "20240131233000-0500", "junk"]
    values = in_zone({MOMENT: moments, ZONE: ["+0000"]}, "+0130")
    assert values[MOMENT] == ["20240201010000.25", "20240201003000", "20240131", "20240131233000-0500", "junk"]


def test_offsets() -> None:
    assert all(is_offset(value) for value in ("+0000", "-1200", "+1400", "+0545"))
    assert not any(
        is_offset(value) for value in ("", "0100", "+01:00", "+1500", "+0160", "Z", "+\u0661\u0662\u0663\u0664")
    )
