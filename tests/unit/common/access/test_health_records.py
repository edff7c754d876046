"""`gantry.common.access.health_records`: who a Patient of a health record is here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gantry.common.access.health_records import patients_of, record_url, systems_of
from gantry.common.errors import NotUnderstood

URL = "https://ehr.example/fhir/Patient/123"
SYSTEMS = systems_of(["urn:oid:1.2=HOSPITAL", "http://old.example/mrn=", "urn:x=A=B"])


def body(*identifiers: Any, **changed: Any) -> bytes:
    return json.dumps({"resourceType": "Patient", "id": "123", "identifier": list(identifiers), **changed}).encode()


@pytest.mark.parametrize(
    ("base", "name", "url"),
    [
        ("https://ehr.example/fhir", "123", URL),
        ("https://ehr.example/fhir/", "123", URL),
        ("https://ehr.example/fhir", "a.b-C", "https://ehr.example/fhir/Patient/a.b-C"),
        ("https://ehr.example/fhir", "..", ""),
        ("https://ehr.example/fhir", "../Binary/1", ""),
        ("https://ehr.example/fhir", "1?x=", ""),
        ("https://ehr.example/fhir", "x" * 65, ""),
        ("https://ehr.example/fhir", "", ""),
        ("https://ehr.example/fhir", "1\n", ""),
    ],
)
def test_id_leads_to_a_patient_and_nowhere_else(base: str, name: str, url: str) -> None:
    assert record_url(base, name) == url


def test_systems_are_read_as_they_are_written() -> None:
    assert SYSTEMS == {"urn:oid:1.2": "HOSPITAL", "http://old.example/mrn": "", "urn:x": "A=B"}


def test_identifiers_of_known_systems_are_patient_ids_here() -> None:
    content = body(
        {"system": "urn:oid:1.2", "value": " 4711 "},
        {"system": "urn:oid:1.2", "value": "4711"},
        {"system": "http://old.example/mrn", "value": "17"},
        {"system": "urn:oid:9", "value": "0"},
        {"value": "1"},
    )
    assert patients_of(content, URL, SYSTEMS) == (("4711", "HOSPITAL"), ("17", ""))
    assert patients_of(body(), URL, SYSTEMS) == ()


@pytest.mark.parametrize("value", [None, 5, "", "  ", "x" * 65, "a\\b", "a\nb", ["4711"]])
def test_identifier_that_is_no_patient_id_is_none(value: Any) -> None:
    assert patients_of(body({"system": "urn:oid:1.2", "value": value}), URL, SYSTEMS) == ()


@pytest.mark.parametrize("identifiers", [None, {}, "x", [5], [[]]])
def test_identifiers_that_are_none_are_passed_over(identifiers: Any) -> None:
    assert patients_of(body(identifier=identifiers), URL, SYSTEMS) == ()


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b"[" * 100_000, body(resourceType="Person"), body(id="124"), body(id=None)],
    ids=["nothing", "a page", "a list", "deep", "another resource", "another patient", "nobody"],
)
def test_what_is_not_that_patient_is_not_understood(content: bytes) -> None:
    with pytest.raises(NotUnderstood):
        patients_of(content, URL, SYSTEMS)
