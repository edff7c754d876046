"""Dates and times (PS3.5 6.2) against Python's calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.query import dates


@given(st.dates(date(1000, 1, 1)))
def test_a_date_is_eight_digits_in_either_form(day: date) -> None:
    digits = f"{day.year:04d}{day:%m%d}"
    assert dates.date(digits) == digits
    assert dates.date(f"{digits[:4]}.{digits[4:6]}.{digits[6:]}") == digits


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2024",
        "202401",
        "20241301",
        "20240100",
        "20240132",
        "2024-01-01",
        "2024.0101",
        "٢٠٢٤٠١٠١",
        "202401011",
        "20240101 ",
    ],
)
def test_what_is_no_date_is_none(value: str) -> None:
    assert dates.date(value) is None


@pytest.mark.parametrize(
    ("value", "earliest", "latest"),
    [
        ("10", "100000000000", "109999999999"),
        ("1015", "101500000000", "101599999999"),
        ("101530", "101530000000", "101530999999"),
        ("10:15:30", "101530000000", "101530999999"),
        ("101530.5", "101530500000", "101530599999"),
        ("235960", "235960000000", "235960999999"),  # a leap second
    ],
)
def test_a_time_without_its_end_is_the_earliest_or_the_latest_that_it_means(
    value: str, earliest: str, latest: str
) -> None:
    assert dates.time(value) == earliest
    assert dates.time(value, "9") == latest


@pytest.mark.parametrize("value", ["", "1", "24", "101", "10:1", "101530.", "101530.1234567", "noon", "10.5"])
def test_what_is_no_time_is_none(value: str) -> None:
    assert dates.time(value) is None


@given(st.times(), st.times())
def test_times_compare_as_the_moments_do(time_of_day: object, other: object) -> None:
    first, second = (dates.time(f"{moment:%H%M%S.%f}") for moment in (time_of_day, other))
    assert first is not None
    assert second is not None
    assert (first < second) is (time_of_day < other)  # type: ignore[operator]


@given(
    st.datetimes(datetime(1001, 1, 1), datetime(9000, 1, 1)),
    st.integers(-12 * 60, 14 * 60),
)
def test_a_moment_with_an_offset_is_in_utc(moment: datetime, minutes: int) -> None:
    sign, size = "-" if minutes < 0 else "+", abs(minutes)
    value = f"{moment:%Y%m%d%H%M%S.%f}{sign}{size // 60:02d}{size % 60:02d}"
    utc = moment.replace(tzinfo=timezone(timedelta(minutes=minutes))).astimezone(UTC)
    assert dates.date_time(value) == f"{utc:%Y%m%d%H%M%S%f}"


def test_a_moment_without_an_offset_stays_as_it_is() -> None:
    assert dates.date_time("2024") == "20240000000000000000"
    assert dates.date_time("2024", "9") == "20249999999999999999"
    assert dates.date_time("20240131101500.25") == "20240131101500250000"


@pytest.mark.parametrize("value", ["", "202", "20240", "2024013110150", "2024+1", "20240230+0000", "junk"])
def test_what_is_no_moment_is_none(value: str) -> None:
    assert dates.date_time(value) is None


@given(st.text("0123456789.:+-", max_size=26), st.sampled_from(["DA", "TM", "DT"]))
def test_no_text_raises(value: str, vr: str) -> None:
    dates.normal(vr, value)
    dates.split_range(vr, value)
    dates.day_beside(value, 1)


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("DA", "20240101", None),
        ("DA", "20240101-20240131", ("20240101", "20240131")),
        ("DA", "-20240131", ("", "20240131")),
        ("DA", "20240101 - ", ("20240101", "")),
        ("TM", "10-11", ("10", "11")),
        ("DT", "20240101", None),
        ("DT", "20240101-0500", None),  # an offset, not a range
        ("DT", "2024-2025", ("2024", "2025")),  # no zone is 20 hours away
        ("DT", "20240101-0500-", ("20240101-0500", "")),
        ("DT", "-20240101-0500", ("", "20240101-0500")),
        ("DT", "20240101-0500-20240201+0100", ("20240101-0500", "20240201+0100")),
    ],
)
def test_a_range_has_two_ends_and_an_offset_is_none(vr: str, value: str, expected: tuple[str, str] | None) -> None:
    """PS3.4 C.2.2.2.5, PS3.5 6.2."""
    assert dates.split_range(vr, value) == expected


@given(st.dates(date(1000, 2, 1), date(9000, 1, 1)), st.integers(-30, 30))
def test_the_day_beside_is_that_of_the_calendar(day: date, days: int) -> None:
    other = day + timedelta(days=days)
    assert dates.day_beside(f"{day:%Y%m%d}", days) == f"{other:%Y%m%d}"


@pytest.mark.parametrize(("value", "days"), [("99991231", 1), ("00010101", -1), ("junk", 1), ("20240230", 1)])
def test_where_the_calendar_ends_there_is_no_day(value: str, days: int) -> None:
    assert dates.day_beside(value, days) is None
