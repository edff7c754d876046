"""Names from outside (PS3.5 6.2, 9.1) and names of our own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID
from pydicom.valuerep import MAX_VALUE_LEN

from gantry.common.ids import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    Receipt,
    is_ae_title,
    is_uid,
    new_uid,
    receipt_in_key,
    require_object_key,
)

LATEST_US = (1 << 48) * 1000 - 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.2.840.10008.1.1", True),
        ("1", True),
        ("0.0", True),
        ("1" * 64, True),
        ("1" * 65, False),
        ("", False),
        (".1", False),
        ("1.", False),
        ("1..2", False),
        ("1.2 ", False),
        ("1.2\n", False),
        ("1.2\0", False),
        ("1.a", False),
        ("1.٣", False),  # a digit, but no digit of the default repertoire
        ("../1", False),
    ],
)
def test_a_uid_is_digits_and_single_periods_of_at_most_64_characters(value: str, expected: bool) -> None:
    assert is_uid(value) is expected


@given(st.from_regex(r"[0-9.]{0,70}", fullmatch=True))
def test_what_pydicom_takes_for_a_uid_is_one(value: str) -> None:
    """The one difference is a leading zero, which modalities send (docstring)."""
    if UID(value).is_valid:
        assert is_uid(value)
    elif is_uid(value):
        assert any(part.startswith("0") and part != "0" for part in value.split("."))


def test_a_new_uid_is_valid_and_is_made_from_a_uuid() -> None:
    """PS3.5 B.2."""
    made = {new_uid() for _ in range(50)}
    assert len(made) == 50
    for uid in made:
        assert UID(uid).is_valid
        assert uid.startswith("2.25.")
        assert int(uid[5:]) < 1 << 128


def test_what_we_call_ourselves_is_within_the_bounds_of_ps3_7() -> None:
    assert UID(IMPLEMENTATION_CLASS_UID).is_valid
    assert 1 <= len(IMPLEMENTATION_VERSION_NAME) <= 16
    assert IMPLEMENTATION_VERSION_NAME.isascii()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("GANTRY", True),
        ("A B", True),
        ("~!@[]^", True),
        ("X" * MAX_VALUE_LEN["AE"], True),
        ("X" * (MAX_VALUE_LEN["AE"] + 1), False),
        ("", False),
        ("   ", False),
        (" A", False),
        ("A\\B", False),
        ("A\n", False),
        ("A\x7f", False),
        ("MÜLLER", False),
    ],
)
def test_an_ae_title_is_of_the_default_repertoire_without_backslash_and_padding(value: str, expected: bool) -> None:
    assert is_ae_title(value) is expected


@given(st.integers(0, LATEST_US), st.integers(0, LATEST_US))
def test_receipts_sort_by_the_millisecond_of_their_arrival(moment: int, other: int) -> None:
    first, second = Receipt.at(moment), Receipt.at(other)
    assert first.milliseconds == moment // 1000
    if first.milliseconds != second.milliseconds:
        assert (first.id < second.id) is (first.milliseconds < second.milliseconds)


@given(st.integers(0, LATEST_US))
def test_a_receipt_is_found_again_in_the_key_of_its_object(now: int) -> None:
    receipt = Receipt.at(now)
    key = receipt.object_key("default")
    require_object_key(key)
    assert receipt_in_key(key) == receipt


def test_two_receipts_of_one_moment_have_keys_of_their_own() -> None:
    keys = {Receipt.at(1_700_000_000_000_000).object_key("default") for _ in range(100)}
    assert len(keys) == 100
    assert len({key.rpartition("/")[0] for key in keys}) == 1


def test_a_folder_holds_17_minutes() -> None:
    """One folder per 2^20 ms."""
    folder = 1 << 20
    start = 1_700_000 * folder * 1000
    same = Receipt.at(start).object_key("p").split("/")[2]
    assert Receipt.at(start + (folder - 1) * 1000).object_key("p").split("/")[2] == same
    assert Receipt.at(start + folder * 1000).object_key("p").split("/")[2] != same


@pytest.mark.parametrize("key", ["objects/default/0/1.2.3.dcm", "x", "", "0" * 31 + "g.dcm", "0" * 33, "0" * 31])
def test_a_key_that_is_not_named_by_us_has_no_receipt(key: str) -> None:
    assert receipt_in_key(key) is None


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", "..", "a/../b", "./a", ".hidden", "a/.b", "a b", "a\\b", "a\n", "a\0", "ä", "x" * 1025],
)
def test_a_key_that_could_leave_its_folder_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="not an object key"):
        require_object_key(key)


@pytest.mark.parametrize("key", ["a", "objects/default/0192abc/x.dcm", "segments/a-b_c/1.seg.zst"])
def test_a_plain_path_is_a_key(key: str) -> None:
    require_object_key(key)
