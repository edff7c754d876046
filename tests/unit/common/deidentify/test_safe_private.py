"""Private attributes that may stay."""

from __future__ import annotations

import pytest

from gantry.common.deidentify.safe_private import SAFE_PRIVATE, is_safe


@pytest.mark.parametrize(
    ("creator", "tag", "vr", "value", "safe"),
    [
        ("SIEMENS MR HEADER", 0x0019100C, b"IS", b"1000", True),
        ("SIEMENS MR HEADER", 0x0019120C, b"IS", b"1000", True),
        ("SIEMENS MR HEADER", 0x0019100C, b"UN", b"1000", True),
        ("SIEMENS MR HEADER", 0x0019100C, b"IS", b"Brenner ", False),
        ("SIEMENS MR HEADER", 0x0019100D, b"CS", b"ISOTROPIC ", True),
        ("SIEMENS MR HEADER", 0x0019100D, b"CS", b"BRENNER ", False),
        ("SIEMENS MR HEADER", 0x0019100E, b"FD", bytes(24), True),
        ("SIEMENS MR HEADER", 0x0019100E, b"FD", b"odd", False),
        ("SIEMENS MR HEADER", 0x0019100E, b"LO", bytes(24), False),
        ("SIEMENS MR HEADER", 0x00191008, b"CS", b"IMAGE NUM", False),
        ("Somebody else", 0x0019100C, b"IS", b"1000", False),
        ("GEMS_SERS_01", 0x00251007, b"SL", bytes(4), True),
    ],
)
def test_stays_if_the_table_has_it_and_its_value_is_of_that_kind(
    creator: str, tag: int, vr: bytes, value: bytes, safe: bool
) -> None:
    assert is_safe(creator, tag, vr, value) is safe


def test_all_are_of_private_groups_and_hold_numbers_or_code_words() -> None:
    for elements in SAFE_PRIVATE.values():
        assert all(group & 1 for group, _ in elements)
        assert set(elements.values()) <= {b"DS", b"IS", b"CS", b"FD", b"FL", b"SL", b"SS", b"US"}
