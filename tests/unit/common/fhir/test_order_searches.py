"""Search parameters of ServiceRequest as conditions on orders."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.query.matching import Empty, Item, Range, Single
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import NotUnderstood
from gantry.common.fhir.identifiers import Systems
from gantry.common.fhir.order_searches import MOST_OFFSET, PARAMETERS, FhirOrderSearch, order_search_of
from gantry.common.fhir.searches import MOST

SYSTEMS = Systems.read(["NORTH=urn:oid:1.2.36"])
NUMBERS = (
    "AccessionNumber",
    "FillerOrderNumberImagingServiceRequest",
    "PlacerOrderNumberImagingServiceRequest",
)


def asked(*parameters: tuple[str, str]) -> FhirOrderSearch:
    return order_search_of(parameters, SYSTEMS)


def starts(first: str | None, last: str | None) -> dict[int, Any]:
    item = Item({TAGS["ScheduledProcedureStepStartDate"]: Range(first, last)})
    return {TAGS["ScheduledProcedureStepSequence"]: item}


def patients(patient_id: str, issuer: Single | Empty) -> dict[int, Any]:
    return {TAGS["PatientID"]: Single((patient_id,)), TAGS["IssuerOfPatientID"]: issuer}


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ([], {}),
        ([("patient", "Patient/4711.NORTH")], patients("4711", Single(("NORTH",)))),
        ([("subject", "4711")], patients("4711", Empty())),
        ([("patient.identifier", "4711")], {TAGS["PatientID"]: Single(("4711",))}),
        ([("patient:identifier", "|4711")], patients("4711", Empty())),
        ([("subject:identifier", "urn:oid:1.2.36|4711")], patients("4711", Single(("NORTH",)))),
        ([("occurrence", "2026-01-05")], starts("20260105", "20260105")),
        ([("occurrence", "ge2026-01-05"), ("occurrence", "lt2026-02")], starts("20260105", "20260131")),
    ],
)
def test_conditions(parameters: list[tuple[str, str]], wanted: dict[int, Any]) -> None:
    search = asked(*parameters)
    assert search.alternatives == [wanted]
    assert not search.nothing
    assert search.used == parameters


def test_an_identifier_is_any_of_the_numbers_of_an_order() -> None:
    search = asked(("identifier", "A1,urn:x|A2"), ("patient.identifier", "P"))
    of_patient = {TAGS["PatientID"]: Single(("P",))}
    assert search.alternatives == [{**of_patient, TAGS[name]: Single(("A1", "A2"))} for name in NUMBERS]


def test_ids_are_keys() -> None:
    assert asked(("_id", "A1,A-2F2")).keys == ("A1", "A/2")
    assert asked(("_id", "A1,A2"), ("_id", "A2")).keys == ("A2",)
    assert asked(("_id", "A.B")).nothing


@pytest.mark.parametrize(
    "parameters",
    [
        [("_id", "-")],
        [("patient", "Organization/1")],
        [("patient", "Patient/1"), ("patient", "Patient/2")],
        [("patient.identifier", "urn:unknown|1")],
        [("identifier", "A1"), ("identifier", "A2")],
        [("status", "draft")],
        [("status", "active"), ("status", "revoked")],
        [("occurrence", "lt2026"), ("occurrence", "gt2026")],
    ],
)
def test_nothing_can_match(parameters: list[tuple[str, str]]) -> None:
    assert asked(*parameters).nothing


def test_statuses_pages_and_what_is_not_known() -> None:
    search = asked(("status", "active,completed"), ("_count", "7"), ("_cursor", "14"), ("code", "x"), ("_sort", "y"))
    assert (search.statuses, search.count, search.offset) == ({"active", "completed"}, 7, 14)
    assert [name for name, _ in search.used] == ["status", "_count", "_cursor"]
    assert asked(("_count", "999999")).count == MOST
    with pytest.raises(NotUnderstood, match="'code' is no search parameter"):
        order_search_of([("code", "x")], SYSTEMS, strict=True)
    assert order_search_of([("_format", "json")], SYSTEMS, strict=True).used == []


@pytest.mark.parametrize(
    "parameter",
    [
        ("occurrence", "tomorrow"),
        ("occurrence", "2026-02-30"),
        ("_count", "many"),
        ("_cursor", "-1"),
        ("_cursor", str(MOST_OFFSET + 1)),
        ("identifier", ""),
        ("patient.identifier", "1,2"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(parameter: tuple[str, str]) -> None:
    with pytest.raises(NotUnderstood):
        asked(parameter)


@given(st.sampled_from([name for name, _ in PARAMETERS]), st.text(max_size=40))
def test_any_text_is_read_or_refused(name: str, value: str) -> None:
    with suppress(NotUnderstood):
        assert asked((name, value)).used == [(name, value)]
