"""Patient ID and issuer."""

from __future__ import annotations

import pytest

from gantry.common.errors import NotUnderstood
from gantry.common.lifecycle.identity import PatientIdentity


def test_an_id_of_another_issuer_is_another_patient() -> None:
    keys = {PatientIdentity("1").key, PatientIdentity("1", "A").key, PatientIdentity("1", "B").key}
    assert len(keys) == 3


def test_an_identity_without_issuer_says_so() -> None:
    assert PatientIdentity("1").values == {
        "00100020": {"vr": "LO", "Value": ["1"]},
        "00100021": {"vr": "LO"},
    }


@pytest.mark.parametrize("identity", [("",), ("1" * 65,), ("a\\b",), (" 1",), ("1", "x\n"), ("1", "i" * 65)])
def test_what_is_no_patient_id_is_refused(identity: tuple[str, ...]) -> None:
    with pytest.raises(NotUnderstood):
        PatientIdentity(*identity)
