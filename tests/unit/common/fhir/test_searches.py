"""Search parameters of FHIR as conditions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Empty, Range, Single
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import NotUnderstood
from gantry.common.fhir.identifiers import Systems
from gantry.common.fhir.searches import MOST, NEWEST_FIRST, PARAMETERS, FhirSearch, search_of

SYSTEMS = Systems.read(["NORTH=urn:oid:1.2.36"])


def asked(resource: str = "ImagingStudy", **parameters: str) -> FhirSearch:
    return search_of(resource, [(n.replace("__", "."), v) for n, v in parameters.items()], SYSTEMS)


def conditions(search: FhirSearch) -> dict[str, Any]:
    by_tag = {tag: keyword for keyword, tag in TAGS.items()}
    return {by_tag[tag]: condition for tag, condition in search.conditions.items()}


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"identifier": "urn:dicom:uid|urn:oid:1.2.3"}, {"StudyInstanceUID": Single(("1.2.3",))}),
        ({"identifier": "urn:oid:1.2.3,urn:oid:1.2.4"}, {"StudyInstanceUID": Single(("1.2.3", "1.2.4"))}),
        ({"identifier": "A100"}, {"AccessionNumber": Single(("A100",))}),
        ({"identifier": "|A\\,1\\|\\\\"}, {"AccessionNumber": Single(("A,1|\\",))}),
        ({"identifier": "A\\|"}, {"AccessionNumber": Single(("A|",))}),
        ({"identifier": "A*"}, {"AccessionNumber": Single(("A*",))}),
        ({"_id": "1.2.3"}, {"StudyInstanceUID": Single(("1.2.3",))}),
        (
            {"modality": "CT,http://dicom.nema.org/resources/ontology/DCM|MR"},
            {"ModalitiesInStudy": Single(("CT", "MR"))},
        ),
        ({"patient": "Patient/4711.NORTH"}, {"PatientID": Single(("4711",)), "IssuerOfPatientID": Single(("NORTH",))}),
        ({"subject": "4711"}, {"PatientID": Single(("4711",)), "IssuerOfPatientID": Empty()}),
        ({"patient__identifier": "4711"}, {"PatientID": Single(("4711",))}),
        (
            {"patient__identifier": "urn:oid:1.2.36|4711"},
            {"PatientID": Single(("4711",)), "IssuerOfPatientID": Single(("NORTH",))},
        ),
        ({"started": "2024"}, {"StudyDate": Range("20240101", "20241231")}),
        ({"started": "2024-02"}, {"StudyDate": Range("20240201", "20240229")}),
        ({"started": "ge2024-01-31"}, {"StudyDate": Range("20240131", None)}),
        ({"started": "gt2024-01"}, {"StudyDate": Range("20240201", None)}),
        ({"started": "lt2024-03-01"}, {"StudyDate": Range(None, "20240229")}),
        ({"started": "eb2024"}, {"StudyDate": Range(None, "20231231")}),
    ],
)
def test_parameter_is_a_condition(parameters: dict[str, str], wanted: dict[str, Any]) -> None:
    search = asked(**parameters)
    assert conditions(search) == wanted
    assert search.query is not None
    assert search.query.order == NEWEST_FIRST


def test_two_dates_are_both_bounds() -> None:
    both = [("started", "ge2024-01-10"), ("started", "le2024-01-20"), ("started", "ge2024-01-05")]
    search = search_of("ImagingStudy", both, SYSTEMS)
    assert conditions(search) == {"StudyDate": Range("20240110", "20240120")}
    assert search_of("ImagingStudy", [("started", "gt2025"), ("started", "lt2024")], SYSTEMS).query is None


@pytest.mark.parametrize(
    "parameters",
    [
        {"identifier": "urn:dicom:uid|none"},
        {"patient": "Patient/no-id-of-ours"},
        {"patient__identifier": "urn:oid:9.9|4711"},
        {"modality": "http://other|CT"},
        {"_id": "no uid"},
        {"_id": "1.2.3", "identifier": "urn:oid:1.2.4"},
    ],
)
def test_what_cannot_be_matches_nothing(parameters: dict[str, str]) -> None:
    assert asked(**parameters).query is None


@pytest.mark.parametrize(
    "parameters",
    [
        {"started": "2024-13"},
        {"started": "2024-02-30"},
        {"started": "ne2024"},
        {"started": "2024-01-31T10:00"},
        {"identifier": ""},
        {"identifier": "a|b|c"},
        {"identifier": "a\\"},
        {"identifier": "a,,b"},
        {"identifier": "A100,urn:oid:1.2.3"},
        {"_count": "many"},
        {"patient__identifier": "1,2"},
    ],
)
def test_what_is_no_value_is_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(NotUnderstood):
        asked(**parameters)


def test_what_is_not_known_is_ignored_or_refused_if_that_is_wanted() -> None:
    given_ones = [("reason", "x"), ("modality", "CT"), ("_sort", "patient"), ("_include", "*")]
    assert search_of("ImagingStudy", given_ones, SYSTEMS).used == [("modality", "CT")]
    for name, value in given_ones:
        if name != "modality":
            with pytest.raises(NotUnderstood):
                search_of("ImagingStudy", [(name, value)], SYSTEMS, strict=True)


def test_how_much_is_wanted() -> None:
    assert (asked(_count="7").count, asked(_count="9999").count) == (7, MOST)
    assert [asked(**parameters).only_total for parameters in ({"_count": "0"}, {"_summary": "count"}, {})] == [
        True,
        True,
        False,
    ]
    assert asked("Patient", _id="4711").level is Level.PATIENT


@given(st.sampled_from([name for name, _ in PARAMETERS["ImagingStudy"]]), st.text(max_size=40))
def test_no_text_raises_anything_else(name: str, value: str) -> None:
    try:
        search_of("ImagingStudy", [(name, value)], SYSTEMS)
    except NotUnderstood:
        pass


RECORD = "https://ehr.example/fhir/Patient/123"


@pytest.mark.parametrize("value", ["123", "Patient/123", RECORD])
@pytest.mark.parametrize("name", ["patient", "subject"])
def test_patient_of_the_health_record_that_asks_is_who_he_is_here(name: str, value: str) -> None:
    patients = (("P1", "NORTH"), ("P2", ""))
    search = search_of("ImagingStudy", [(name, value)], SYSTEMS, record=RECORD, patients=patients)
    ours, issuer = TAGS["PatientID"], TAGS["IssuerOfPatientID"]
    assert search.query is not None
    assert search.query.one_of == ({ours: Single(("P1",)), issuer: Single(("NORTH",))}, {ours: Single(("P2",))})
    assert (search.conditions, search.used) == ({}, [(name, value)])
    nobody = search_of("ImagingStudy", [(name, value)], SYSTEMS, record=RECORD)
    assert nobody.query is None


def test_others_are_named_as_they_are_here() -> None:
    search = search_of("ImagingStudy", [("patient", "P1.NORTH")], SYSTEMS, record=RECORD, patients=(("P2", ""),))
    assert conditions(search) == {"PatientID": Single(("P1",)), "IssuerOfPatientID": Single(("NORTH",))}
    assert search.one_of == []
    assert asked(patient="123").one_of == []
