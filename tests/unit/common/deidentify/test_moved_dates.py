"""Dates that move together."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.deidentify.moved_dates import moved


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(1, 4000), st.integers(-3650, -1))
def test_days_between_two_dates_stay(first: date, gap: int, days: int) -> None:
    second = first + timedelta(days=gap)
    values = moved(b"DA", f"{first:%Y%m%d}\\{second:%Y%m%d}", days).split("\\")
    dates = [date(int(v[:4]), int(v[4:6]), int(v[6:])) for v in values]
    assert dates[1] - dates[0] == timedelta(days=gap)
    assert dates[0] - first == timedelta(days=days)


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        (b"DA", "20240301", "20240229"),
        (b"DA", "2024.03.01", "20240229"),
        (b"DA", "", ""),
        (b"DA", "Brenner", "19000101"),
        (b"DA", "20240231", "19000101"),
        (b"DT", "20240301123000.5+0200", "20240229123000.5"),
        (b"DT", "202403", "202402"),
        (b"DT", "2024", "2023"),
        (b"DT", "Brenner", "19000101000000"),
        (b"TM", "123000.5", "123000.5"),
        (b"TM", "Brenner", "000000"),
    ],
)
def test_a_value_is_moved_by_a_day_or_becomes_a_dummy(vr: bytes, value: str, expected: str) -> None:
    assert moved(vr, value, -1) == expected
