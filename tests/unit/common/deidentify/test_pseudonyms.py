"""Pseudonyms: always the same, never the identifier, and not to be had without the key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.deidentify.pseudonyms import Pseudonyms
from gantry.common.errors import NotDeidentified
from gantry.common.ids import is_uid
from tests.support.dicom import uids

KEY, OTHER = b"k" * 32, b"o" * 32


@given(uids)
def test_a_uid_is_always_the_same_other_uid(uid: str) -> None:
    written = Pseudonyms(KEY).uid(uid)
    assert is_uid(written)
    assert written.startswith("2.25.")
    assert written == Pseudonyms(KEY).uid(uid) != Pseudonyms(OTHER).uid(uid)


@given(st.text(max_size=64), st.text(max_size=64))
def test_different_patients_have_different_pseudonyms(first: str, second: str) -> None:
    pseudonyms = Pseudonyms(KEY)
    assert (pseudonyms.patient(first) == pseudonyms.patient(second)) == (first == second)
    assert len(pseudonyms.accession(first)) <= 16
    assert -3650 <= pseudonyms.days(first) <= -1


def test_a_value_has_another_pseudonym_as_a_patient_than_as_an_accession() -> None:
    assert Pseudonyms(KEY).patient("4711") != Pseudonyms(KEY).accession("4711")


def test_uids_of_the_standards_own_instances_stay_and_no_others_below_its_root() -> None:
    pseudonyms = Pseudonyms(KEY)
    assert pseudonyms.uid("1.2.840.10008.1.4.1.1") == "1.2.840.10008.1.4.1.1"
    assert pseudonyms.uid("1.2.840.10008.4711") != "1.2.840.10008.4711"
    assert pseudonyms.uid("") == ""


def test_a_mapping_says_who_may_leave() -> None:
    pseudonyms = Pseudonyms(KEY, {"4711": "SUBJECT-1"})
    assert pseudonyms.patient("4711") == "SUBJECT-1"
    with pytest.raises(NotDeidentified) as raised:
        pseudonyms.patient("0815")
    assert "0815" not in str(raised.value)


def test_a_short_key_is_refused_and_a_key_is_not_shown() -> None:
    with pytest.raises(NotDeidentified, match="too short"):
        Pseudonyms(b"short")
    assert "kkkk" not in repr(Pseudonyms(KEY))
