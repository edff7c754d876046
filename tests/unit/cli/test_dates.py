"""`gantry.cli.dates`: dates as people write them."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.cli.dates import as_da

TODAY = date(2024, 3, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20240131", "20240131"),
        ("2024-01-31", "20240131"),
        ("2024.01.31", "20240131"),
        ("today", "20240301"),
        ("Yesterday", "20240229"),
        ("-7d", "20240223-"),
        ("-2w", "20240216-"),
        ("-0d", "20240301-"),
        ("2024-01-01-2024-01-31", "20240101-20240131"),
        ("20240101-20240131", "20240101-20240131"),
        ("2024-01-01-", "20240101-"),
        ("-2024-01-31", "-20240131"),
        ("-20240131", "-20240131"),
        ("yesterday-today", "20240229-20240301"),
    ],
)
def test_date_becomes_what_the_standard_has(text: str, value: str) -> None:
    assert as_da(text, TODAY) == value


@pytest.mark.parametrize(
    "text", ["", "-", "2024", "2024-13-01", "20230229", "tomorrow", "-d", "2024-01-0120240102", "x-y"]
)
def test_what_is_no_date_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a date|not a day"):
        as_da(text, TODAY)


@given(st.dates(min_value=date(1000, 1, 1)), st.dates(min_value=date(1000, 1, 1)))
def test_every_range_of_days_is_one_in_both_forms(first: date, last: date) -> None:
    wanted = f"{first:%Y%m%d}-{last:%Y%m%d}"
    assert as_da(f"{first.isoformat()}-{last.isoformat()}", TODAY) == wanted
    assert as_da(wanted, TODAY) == wanted
