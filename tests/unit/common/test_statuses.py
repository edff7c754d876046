"""DIMSE statuses against the tables of pynetdicom, which were made from PS3.4 and PS3.7."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import status as theirs

from gantry.common import statuses
from gantry.common.statuses import WORDS, is_failure, is_pending, is_warning, status_words

NAMED = {name: value for name, value in vars(statuses).items() if name.isupper() and isinstance(value, int)}


@pytest.mark.parametrize("status", sorted(theirs.GENERAL_STATUS), ids=lambda s: f"{s:04X}")
def test_a_general_status_is_of_the_kind_that_pynetdicom_says(status: int) -> None:
    kind = theirs.code_to_category(status)
    assert is_pending(status) is (kind == "Pending")
    assert is_warning(status) is (kind == "Warning")
    assert is_failure(status) is (kind == "Failure")


@pytest.mark.parametrize(
    ("service", "table"),
    [
        ("storage", theirs.STORAGE_SERVICE_CLASS_STATUS),
        ("find", theirs.QR_FIND_SERVICE_CLASS_STATUS),
        ("move", theirs.QR_MOVE_SERVICE_CLASS_STATUS),
        ("get", theirs.QR_GET_SERVICE_CLASS_STATUS),
    ],
)
def test_a_status_of_a_service_is_of_the_kind_that_its_table_says(
    service: str, table: dict[int, tuple[str, str]]
) -> None:
    for status, (kind, _) in table.items():
        assert (is_pending(status), is_warning(status), is_failure(status)) == (
            kind == "Pending",
            kind == "Warning",
            kind == "Failure",
        ), f"{service} {status:04X}"


@given(st.integers(0, 0xFFFF))
def test_every_status_is_of_one_kind_at_most(status: int) -> None:
    kinds = [is_pending(status), is_warning(status), is_failure(status), status in (0x0000, 0xFE00)]
    assert sum(kinds) == 1


def test_success_and_cancel_are_neither_failure_nor_warning_nor_pending() -> None:
    for status in (0x0000, 0xFE00):
        assert not any((is_pending(status), is_warning(status), is_failure(status)))


def test_every_named_status_is_one_that_the_standard_has() -> None:
    known = set(theirs.GENERAL_STATUS) | {0x0131}  # PS3.3 C.14.1.1: duplicate transaction UID
    for name, value in vars(theirs).items():
        if name.endswith("_STATUS"):
            known |= set(value)
    assert set(NAMED.values()) <= known


def test_every_named_status_has_words_but_the_first_of_a_range() -> None:
    """CxxxH says of itself what kind it is."""
    assert set(NAMED.values()) - set(WORDS) == {statuses.CANNOT_UNDERSTAND}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0x0000, "0000H success"),
        (0xA700, "A700H out of resources"),
        (0xA7FF, "A7FFH refused"),
        (0xB123, "B123H warning"),
        (0xC001, "C001H cannot understand"),
        (0x0199, "0199H failure"),
    ],
)
def test_a_status_is_said_with_its_four_digits_and_words(status: int, words: str) -> None:
    assert status_words(status) == words
