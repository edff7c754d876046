"""Which action is taken: compound codes, and options against each other."""

from __future__ import annotations

import pytest

from gantry.common.deidentify.actions import ActionCode, decide, is_known, unlisted
from gantry.common.deidentify.options import Option
from gantry.common.deidentify.table import CODES, ConfidentialityRow

NONE: frozenset[Option] = frozenset()


@pytest.mark.parametrize(
    ("code", "value", "sequence"),
    [
        ("X", ActionCode.REMOVE, ActionCode.REMOVE),
        ("Z", ActionCode.EMPTY, ActionCode.EMPTY),
        ("D", ActionCode.DUMMY, ActionCode.DUMMY),
        ("U", ActionCode.NEW_UIDS, ActionCode.NEW_UIDS),
        ("X/Z", ActionCode.EMPTY, ActionCode.EMPTY),
        ("X/D", ActionCode.DUMMY, ActionCode.REMOVE),
        ("Z/D", ActionCode.DUMMY, ActionCode.DUMMY),
        ("X/Z/D", ActionCode.DUMMY, ActionCode.EMPTY),
        ("X/Z/U*", ActionCode.NEW_UIDS, ActionCode.NEW_UIDS),
    ],
)
def test_a_compound_code_becomes_what_conforms_to_every_type(
    code: str, value: ActionCode, sequence: ActionCode
) -> None:
    assert code in CODES
    assert decide(ConfidentialityRow("-", code), NONE, b"LO") is value
    assert decide(ConfidentialityRow("-", code), NONE, b"SQ") is sequence


def test_keeping_comes_before_cleaning_and_that_before_the_basic_profile() -> None:
    row = ConfidentialityRow("-", "X", {Option.DEVICE: "K", Option.DESCRIPTORS: "C"})
    assert decide(row, frozenset((Option.DEVICE, Option.DESCRIPTORS)), b"LO") is ActionCode.KEEP
    assert decide(row, frozenset((Option.DESCRIPTORS,)), b"LO") is ActionCode.CLEAN_TEXT
    assert decide(row, frozenset((Option.DESCRIPTORS,)), b"SQ") is ActionCode.CLEAN_ITEMS
    assert decide(row, frozenset((Option.DESCRIPTORS,)), b"OB") is ActionCode.REMOVE
    assert decide(row, frozenset((Option.UIDS,)), b"LO") is ActionCode.REMOVE


def test_a_date_that_a_device_would_keep_is_moved_with_the_others() -> None:
    row = ConfidentialityRow("-", "X", {Option.DEVICE: "K", Option.MODIFIED_DATES: "C"})
    assert decide(row, frozenset((Option.DEVICE, Option.MODIFIED_DATES)), b"DA") is ActionCode.MOVE_DATES
    assert decide(row, frozenset((Option.DEVICE,)), b"DA") is ActionCode.KEEP


def test_dates_names_and_uids_that_the_table_lacks_are_treated_as_its_own() -> None:
    date, name, uid = unlisted(0x00141020), unlisted(0x00142006), unlisted(0x00209312)
    assert date is not None
    assert decide(date, NONE, b"DA") is ActionCode.DUMMY
    assert decide(date, frozenset((Option.FULL_DATES,)), b"DA") is ActionCode.KEEP
    assert name is not None
    assert decide(name, frozenset(Option), b"PN") is ActionCode.DUMMY
    assert uid is not None
    assert decide(uid, NONE, b"UI") is ActionCode.NEW_UIDS


def test_uids_of_classes_and_vocabularies_stay() -> None:
    assert unlisted(0x00080016) is None
    assert unlisted(0x0008010C) is None
    assert unlisted(0x00280010) is None


def test_what_no_dictionary_has_is_not_known() -> None:
    assert is_known(0x00280010)
    assert is_known(0x60000010)
    assert not is_known(0x00280FFF)
