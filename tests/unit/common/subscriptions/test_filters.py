"""Which studies a subscription is about."""

import pytest

from gantry.common.access import Facts
from gantry.common.dicom.query.matching import Empty, Single
from gantry.common.dicom.standard.tags import (
    ISSUER_OF_PATIENT_ID,
    MODALITIES_IN_STUDY,
    PATIENT_ID,
    STUDY_INSTANCE_UID,
)
from gantry.common.errors import NotUnderstood
from gantry.common.fhir.identifiers import Systems
from gantry.common.subscriptions.filters import LONGEST_FILTER, question_of, search_of_filters

BASE = "https://archive.example/fhir/r4"
SYSTEMS = Systems({"NORTH": "urn:oid:1.2.36"})


def asked(*filters: str, facts: Facts = Facts()) -> object:
    question = question_of(search_of_filters(filters, SYSTEMS, facts, BASE), "1.2.3")
    return None if question is None else question.conditions


def test_all_filters_hold_and_the_study_is_the_one_that_is_asked_about() -> None:
    assert asked() == {STUDY_INSTANCE_UID: Single(("1.2.3",))}
    assert asked("ImagingStudy?patient=Patient/P1.NORTH", "ImagingStudy?modality=CT,MR") == {
        STUDY_INSTANCE_UID: Single(("1.2.3",)),
        PATIENT_ID: Single(("P1",)),
        ISSUER_OF_PATIENT_ID: Single(("NORTH",)),
        MODALITIES_IN_STUDY: Single(("CT", "MR")),
    }


@pytest.mark.parametrize(
    "text",
    [
        "ImagingStudy?patient=P1",
        "ImagingStudy?subject=Patient/P1",
        f"ImagingStudy?patient={BASE}/Patient/P1",
        "ImagingStudy?patient.identifier=%7CP1",
    ],
)
def test_patient_is_named_as_in_searches_or_by_his_url_here(text: str) -> None:
    fields = asked(text)
    assert isinstance(fields, dict)
    assert (fields[PATIENT_ID], fields[ISSUER_OF_PATIENT_ID]) == (Single(("P1",)), Empty())


def test_two_patients_are_nobody() -> None:
    assert asked("ImagingStudy?patient=P1", "ImagingStudy?patient=P2") is None


def test_app_of_a_health_record_names_its_patient_as_that_does() -> None:
    facts = Facts(patients=(("4711", "NORTH"),), record="https://ehr.example/fhir/Patient/123")
    search = search_of_filters(("ImagingStudy?patient=Patient/123",), SYSTEMS, facts, BASE)
    question = question_of(search, "1.2.3")
    assert question is not None
    assert list(question.one_of) == [{PATIENT_ID: Single(("4711",)), ISSUER_OF_PATIENT_ID: Single(("NORTH",))}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ImagingStudy",
        "ImagingStudy?",
        "Patient?_id=1",
        "ImagingStudy?patient",
        "ImagingStudy?started=2026",
        "ImagingStudy?_count=0",
        "ImagingStudy?modality=CT|MR|US",
        "ImagingStudy?" + "&".join(["modality=CT"] * 11),
        "ImagingStudy?modality=" + "C" * LONGEST_FILTER,
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(NotUnderstood):
        asked(text)
