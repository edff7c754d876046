"""Documents as resources of FHIR R4."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.fhir.identifiers import Systems
from gantry.common.fhir.resources import imaging_study, outcome, patient, series_of, subject

SYSTEMS = Systems.read(["NORTH=urn:oid:1.2.36"])
BASE = "https://archive.example/dicom-web"


def document(**values: Any) -> dict[int, Any]:
    return {TAGS[keyword]: value if isinstance(value, list) else [value] for keyword, value in values.items()}


STUDY = document(
    StudyInstanceUID="1.2.3",
    StudyDate="20240131",
    StudyTime="101500.25",
    AccessionNumber="A100",
    StudyDescription="CT of the neck",
    ModalitiesInStudy=["CT", "SR"],
    NumberOfStudyRelatedSeries=2,
    NumberOfStudyRelatedInstances=40,
    PatientID="4711",
    IssuerOfPatientID="NORTH",
    PatientName={"Alphabetic": "Doe^Jane Mary^^Dr.^PhD"},
    PatientBirthDate="19720229",
    PatientSex="F",
    ReferringPhysicianName={"Alphabetic": "House^Greg"},
    ProcedureCodeSequence=[document(CodeValue="77477000", CodingSchemeDesignator="SCT", CodeMeaning="CT")],
)


def test_study_has_its_names_numbers_and_place() -> None:
    made = imaging_study(STUDY, SYSTEMS, BASE)
    assert (made["id"], made["status"], made["description"]) == ("1.2.3", "available", "CT of the neck")
    assert [identifier["value"] for identifier in made["identifier"]] == ["urn:oid:1.2.3", "A100"]
    assert [coding["code"] for coding in made["modality"]] == ["CT", "SR"]
    assert made["subject"]["reference"] == "Patient/4711.NORTH"
    assert made["subject"]["display"] == "Dr. Jane Mary Doe PhD"
    assert (made["numberOfSeries"], made["numberOfInstances"]) == (2, 40)
    assert made["procedureCode"][0]["coding"][0]["system"] == "http://snomed.info/sct"
    assert (made["contained"][0]["address"], made["endpoint"]) == (BASE, [{"reference": "#wado"}])
    assert made["referrer"] == {"display": "Greg House"}


@pytest.mark.parametrize(
    ("zone", "time", "started"),
    [
        ("", "101500", "2024-01-31"),
        ("+0100", "101500.25", "2024-01-31T10:15:00.25+01:00"),
        ("-0330", "101500", "2024-01-31T10:15:00-03:30"),
        ("+0100", "", "2024-01-31"),
        ("+0100", "1015", "2024-01-31"),
        ("nonsense", "101500", "2024-01-31"),
    ],
)
def test_time_is_said_with_its_offset_or_not_at_all(zone: str, time: str, started: str) -> None:
    study = {**STUDY, **document(TimezoneOffsetFromUTC=zone, StudyTime=time)}
    assert imaging_study(study, SYSTEMS, BASE)["started"] == started


def test_what_fhir_cannot_hold_is_left_out() -> None:
    bare = document(StudyInstanceUID="1.2.3", StudyDate="20240230", StudyDescription=" \x00", PatientName={})
    made = imaging_study(bare, SYSTEMS, BASE)
    assert made.keys() == {"resourceType", "id", "contained", "identifier", "status", "subject", "endpoint"}
    assert made["subject"] == {"display": "Unknown"}
    series = series_of(document(SeriesInstanceUID="1.2.3.1", SeriesNumber="-4"), "")
    assert series == {"uid": "1.2.3.1", "modality": series["modality"]}
    assert series["modality"]["code"] == "OT"


def test_series_has_instances() -> None:
    series = document(
        SeriesInstanceUID="1.2.3.1", SeriesNumber="4", Modality="CT", Laterality="L", BodyPartExamined="HAND"
    )
    instance = document(SOPInstanceUID="1.2.3.1.1", SOPClassUID="1.2.840.10008.5.1.4.1.1.2", InstanceNumber="7")
    made = series_of(series, "", [instance])
    assert (made["number"], made["bodySite"], made["laterality"]["code"]) == (4, {"display": "HAND"}, "7771000")
    assert made["instance"] == [
        {
            "uid": "1.2.3.1.1",
            "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840.10008.5.1.4.1.1.2"},
            "number": 7,
        }
    ]


def test_patient_has_name_sex_and_birth_date() -> None:
    made = patient(STUDY, SYSTEMS)
    assert made is not None
    assert (made["id"], made["gender"], made["birthDate"]) == ("4711.NORTH", "female", "1972-02-29")
    assert made["name"][0]["given"] == ["Jane", "Mary"]
    assert made["identifier"][0]["system"] == "urn:oid:1.2.36"
    assert patient(document(PatientName={"Alphabetic": "Doe^Jane"}), SYSTEMS) is None


def test_patient_without_an_id_of_fhir_is_named_by_identifier() -> None:
    long = document(PatientID="x" * 40, IssuerOfPatientID="y" * 40)
    assert patient(long, SYSTEMS) is None
    assert subject(long, SYSTEMS)["identifier"]["value"] == "x" * 40
    assert "reference" not in subject(long, SYSTEMS)


def test_what_went_wrong_is_an_outcome() -> None:
    assert outcome("invalid", "no date")["issue"][0]["diagnostics"] == "no date"
