"""Numbers and sizes as people read them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.amounts import counted, in_bytes


def test_one_of_something_is_not_many() -> None:
    assert [counted(n, "study", "studies") for n in (0, 1, 2)] == ["0 studies", "1 study", "2 studies"]
    assert [counted(n, "object") for n in (0, 1, 2)] == ["0 objects", "1 object", "2 objects"]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_995, "10.0 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (35_871, "35.9 kB"),
        (12_345_678_901, "12.3 GB"),
        (1_234_567_890_123_456, "1235 TB"),
    ],
)
def test_a_size_has_three_digits_and_its_unit(size: int, text: str) -> None:
    assert in_bytes(size) == text


@given(st.integers(1000, 10**15 - 10**12))
def test_what_is_said_is_within_half_a_percent(size: int) -> None:
    number, unit = in_bytes(size).split()
    assert abs(float(number) * 1000 ** (["kB", "MB", "GB", "TB"].index(unit) + 1) - size) <= size * 0.00501
    assert re.fullmatch(r"\d\.\d\d|\d\d\.\d|\d{3}", number)
