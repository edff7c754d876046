"""How studies and patients are named in FHIR."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.fhir.identifiers import Systems, patient_name, patient_of

SYSTEMS = Systems.read(["NORTH=urn:oid:1.2.36", "SOUTH=https://south.example/mrn"])


@given(st.text(min_size=1, max_size=12), st.text(max_size=6))
def test_id_of_a_patient_leads_back_and_is_one_that_fhir_takes(patient_id: str, issuer: str) -> None:
    try:
        name = patient_name(patient_id, issuer)
    except UnicodeEncodeError:  # half a character: no DICOM value has any
        return
    if name:
        assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", name)
        assert patient_of(name) == (patient_id, issuer)


def test_ids_are_readable_where_the_values_are() -> None:
    assert patient_name("4711", "NORTH") == "4711.NORTH"
    assert patient_name("A 1", "") == "A-201"
    assert patient_name("x" * 64, "") == "x" * 64
    assert patient_name("x" * 64, "Y") == ""
    assert patient_name("", "NORTH") == ""


@pytest.mark.parametrize("name", ["", ".", "a.b.c", "-2", "-2x", "-ff", "a-20-", "-41", "a.", "x" * 65, "ä", "-FF"])
def test_other_ids_are_none(name: str) -> None:
    assert patient_of(name) is None


def test_issuers_have_the_systems_of_the_settings() -> None:
    assert SYSTEMS.issuer("urn:oid:1.2.36") == "NORTH"
    assert SYSTEMS.issuer("urn:oid:9") is None
    known, unknown = SYSTEMS.identifier("1", "SOUTH", "MR"), SYSTEMS.identifier("1", "EAST", "MR")
    assert (known["system"], known["value"]) == ("https://south.example/mrn", "1")
    assert ("system" in unknown, unknown["assigner"]) == (False, {"display": "EAST"})
