"""Orders as ServiceRequest of FHIR R4."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.fhir.identifiers import Systems, order_name, order_of
from gantry.common.fhir.service_requests import service_request, status_of
from gantry.common.orders import StepState

SYSTEMS = Systems.read(["NORTH=urn:oid:1.2.36"])


def document(**values: Any) -> dict[int, Any]:
    return {TAGS[keyword]: value if isinstance(value, list) else [value] for keyword, value in values.items()}


ORDER = document(
    AccessionNumber="A1",
    PlacerOrderNumberImagingServiceRequest="P-7",
    PatientID="4711",
    IssuerOfPatientID="NORTH",
    PatientName="Doe^Jane",
    StudyInstanceUID="1.2.3",
    RequestedProcedureDescription="CT of the head",
    RequestedProcedureCodeSequence=[document(CodeValue="CTH", CodingSchemeDesignator="99X", CodeMeaning="CT head")],
    RequestedProcedurePriority="HIGH",
    RequestingPhysician="House^Greg",
    ReasonForTheRequestedProcedure="Headache",
    IssueDateOfImagingServiceRequest="20260104",
    ScheduledProcedureStepSequence=[
        document(ScheduledProcedureStepStartDate="20260106"),
        document(ScheduledProcedureStepStartDate="20260105"),
    ],
)


def test_an_order_has_its_numbers_its_patient_and_what_is_asked_for() -> None:
    made = service_request(ORDER, "A1", "active", SYSTEMS)
    assert made is not None
    assert (made["id"], made["status"], made["intent"], made["priority"]) == ("A1", "active", "order", "urgent")
    numbers = [(identifier["type"]["coding"][0]["code"], identifier["value"]) for identifier in made["identifier"][:-1]]
    assert numbers == [("ACSN", "A1"), ("PLAC", "P-7")]
    assert made["identifier"][-1] == {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}
    assert made["code"] == {"coding": [{"code": "CTH", "display": "CT head"}], "text": "CT of the head"}
    assert made["subject"]["reference"] == "Patient/4711.NORTH"
    assert (made["occurrenceDateTime"], made["authoredOn"]) == ("2026-01-05", "2026-01-04")
    assert (made["requester"], made["reasonCode"]) == ({"display": "Greg House"}, [{"text": "Headache"}])


def test_what_is_not_there_is_left_out() -> None:
    made = service_request({}, "A1", "revoked", SYSTEMS)
    assert made is not None
    assert set(made) == {"resourceType", "id", "status", "intent", "category", "subject"}
    assert made["subject"] == {"display": "Unknown"}


def test_a_key_is_an_id_and_back() -> None:
    assert order_name("A/1 ü") == "A-2F1-20-C3-BC"
    assert order_of("A-2F1-20-C3-BC") == "A/1 ü"
    assert service_request(ORDER, "/" * 30, "active", SYSTEMS) is None
    assert order_of("A1.NORTH") == order_of("A_1") == ""


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ((), "active"),
        (("SCHEDULED",), "active"),
        (("COMPLETED", "STARTED"), "active"),
        (("CANCELLED", "ARRIVED"), "active"),
        (("COMPLETED",), "completed"),
        (("COMPLETED", "CANCELLED", "DEPARTED"), "completed"),
        (("CANCELLED", "DISCONTINUED"), "revoked"),
    ],
)
def test_the_status_follows_the_steps(states: tuple[str, ...], status: str) -> None:
    assert status_of(states) == status
    assert set(states) <= set(StepState)


def test_a_cancelled_order_is_revoked_whatever_its_steps_are() -> None:
    assert status_of((), cancelled=True) == status_of(("COMPLETED",), cancelled=True) == "revoked"
