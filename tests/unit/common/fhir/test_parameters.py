"""Search parameters that several resources have."""

from __future__ import annotations

import pytest

from gantry.common.dicom.query.matching import Condition, Empty, Single
from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.errors import NotUnderstood
from gantry.common.fhir.identifiers import Systems
from gantry.common.fhir.parameters import patient, patient_identifier, tokens

SYSTEMS = Systems.read(["NORTH=urn:oid:1.2.36"])


class Asked:
    def __init__(self) -> None:
        self.nothing = False
        self.conditions: dict[int, Condition] = {}

    def require(self, tag: int, condition: Condition) -> None:
        self.conditions[tag] = condition


def whose(patient_id: str, issuer: Condition) -> dict[int, Condition]:
    return {PATIENT_ID: Single((patient_id,)), ISSUER_OF_PATIENT_ID: issuer}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("A,B", [(None, "A"), (None, "B")]),
        ("urn:x|A,|B", [("urn:x", "A"), ("", "B")]),
        ("A\\,B\\|C\\\\", [(None, "A,B|C\\")]),
    ],
)
def test_tokens(value: str, wanted: list[tuple[str | None, str]]) -> None:
    assert tokens(value) == wanted


@pytest.mark.parametrize("value", ["", "A,", "x|", "a|b|c", "A\\"])
def test_what_is_no_token_is_refused(value: str) -> None:
    with pytest.raises(NotUnderstood):
        tokens(value)


def test_a_patient_is_named_with_issuer_without_or_with_any() -> None:
    for value, wanted in (
        ("urn:oid:1.2.36|4711", whose("4711", Single(("NORTH",)))),
        ("|4711", whose("4711", Empty())),
        ("4711", {PATIENT_ID: Single(("4711",))}),
    ):
        search = Asked()
        patient_identifier(search, value, SYSTEMS)
        assert search.conditions == wanted
    search = Asked()
    patient(search, "Patient/4711.NORTH", SYSTEMS)
    assert search.conditions == whose("4711", Single(("NORTH",)))


def test_who_cannot_be_is_nobody() -> None:
    for read, value in ((patient, "Organization/1"), (patient_identifier, "urn:unknown|1")):
        search = Asked()
        read(search, value, SYSTEMS)
        assert search.nothing
