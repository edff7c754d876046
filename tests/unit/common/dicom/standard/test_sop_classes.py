"""The storage SOP classes: all that pynetdicom and pydicom know, and those that nobody knows yet."""

from __future__ import annotations

import pytest
from pydicom._uid_dict import UID_dictionary
from pynetdicom import sop_class

from gantry.common.dicom.standard.sop_classes import (
    NOT_OF_PATIENTS,
    RETIRED_STORAGE_SOP_CLASSES,
    STORAGE_SOP_CLASSES,
    StorageClasses,
    class_in_words,
    is_storage_class,
    stands_for,
)


def test_every_storage_sop_class_that_pynetdicom_knows_is_there() -> None:
    known = {keyword: str(uid) for keyword, uid in sop_class._STORAGE_CLASSES.items()}
    assert known.items() <= STORAGE_SOP_CLASSES.items()


def test_no_uid_is_there_twice() -> None:
    every = (*STORAGE_SOP_CLASSES.values(), *RETIRED_STORAGE_SOP_CLASSES.values())
    assert len(set(every)) == len(every)


def test_every_class_of_the_standard_that_is_called_storage_is_taken() -> None:
    """PS3.6 table A-1 as pydicom has it, with what is retired; but for objects that belong to no patient."""
    named = {
        uid
        for uid, (name, kind, *_) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in name and "Commitment" not in name and "Media" not in name
    }
    refused = {UID_dictionary[uid][0] for uid in named if not is_storage_class(uid)}
    assert refused == {
        "CT Defined Procedure Protocol Storage",
        "Color Palette Storage",
        "Generic Implant Template Storage",
        "Hanging Protocol Storage",
        "Hardcopy Color Image Storage SOP Class",
        "Hardcopy Grayscale Image Storage SOP Class",
        "Implant Assembly Template Storage",
        "Implant Template Group Storage",
        "Inventory Storage",
        "Protocol Approval Storage",
        "Stored Print Storage SOP Class",
        "XA Defined Procedure Protocol Storage",
    }
    assert all(uid in UID_dictionary for uid in NOT_OF_PATIENTS)


@pytest.mark.parametrize(
    ("uid", "expected"),
    [
        ("1.2.840.10008.5.1.4.1.1.6", True),
        ("1.2.840.10008.5.1.4.1.1.5", True),
        ("1.2.840.10008.5.1.4.1.1.12.3", True),
        ("1.2.840.10008.5.1.4.1.1.999.7", True),
        ("1.2.840.10008.5.1.4.1.1.201.6", False),
        ("1.2.840.10008.5.1.4.1.1.", False),
        ("1.2.840.10008.5.1.4.1.1.a", False),
        ("1.2.840.10008.5.1.4.1.2.1.1", False),
        ("1.2.840.10008.1.1", False),
        ("1.3.12.2.1107.5.9.1", False),
    ],
)
def test_what_may_be_stored_is_a_rule_and_not_a_table(uid: str, expected: bool) -> None:
    assert is_storage_class(uid) is expected
    assert (uid in StorageClasses()) is expected
    assert uid in StorageClasses([uid])
    assert (stands_for(uid) in STORAGE_SOP_CLASSES.values()) is expected
    assert expected or stands_for(uid) == uid


def test_a_class_is_called_by_the_words_of_its_keyword() -> None:
    words = {class_in_words(uid) for uid in STORAGE_SOP_CLASSES.values()}
    assert {"CT Image Storage", "Basic Text SR Storage", "Encapsulated PDF Storage"} <= words
    assert class_in_words("1.2.3") == "1.2.3"
