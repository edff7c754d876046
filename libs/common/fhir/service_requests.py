"""Orders as ServiceRequest of FHIR R4 (https://hl7.org/fhir/R4/servicerequest.html). Pure.

What the standard's attributes say is given; what FHIR has no place for (stations, the state of each step) is not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.fhir.identifiers import DICOM_UID, OID, Systems, order_name
from gantry.common.fhir.resources import Resource, concept, date_of, filled, name_of, subject, text_of

Attributes = Mapping[int, Any]
_PERFORMED = frozenset(("COMPLETED", "DEPARTED"))
_ENDED = frozenset(("CANCELLED", "DISCONTINUED"))
_PRIORITIES = {"STAT": "stat", "HIGH": "urgent", "MEDIUM": "routine", "ROUTINE": "routine", "LOW": "routine"}
"""PS3.3 C.4.11: Requested Procedure Priority."""
_IMAGING = {"system": "http://snomed.info/sct", "code": "363679005", "display": "Imaging"}
_NUMBERS = (
    ("AccessionNumber", "ACSN"),
    ("PlacerOrderNumberImagingServiceRequest", "PLAC"),
    ("FillerOrderNumberImagingServiceRequest", "FILL"),
)


def status_of(states: Collection[str], *, cancelled: bool = False) -> str:
    """The status of an order, from the states of its steps (Scheduled Procedure Step Status)."""
    if cancelled or (states and all(state in _ENDED for state in states)):
        return "revoked"
    over = bool(states) and all(state in _PERFORMED | _ENDED for state in states)
    return "completed" if over else "active"


def service_request(order: Attributes, key: str, status: str, systems: Systems) -> Resource | None:
    """The resource of an order with its steps; None where its key is too long for an id."""
    name = order_name(key)
    if not name:
        return None
    steps = order.get(TAGS["ScheduledProcedureStepSequence"]) or ()
    days = sorted(day for step in steps if (day := date_of(text_of(step, "ScheduledProcedureStepStartDate"))))
    codes = [concept(item) for item in order.get(TAGS["RequestedProcedureCodeSequence"]) or ()]
    description = text_of(order, "RequestedProcedureDescription")
    requester = name_of(order, "RequestingPhysician") or name_of(order, "ReferringPhysicianName")
    reasons = [concept(item) for item in order.get(TAGS["ReasonForRequestedProcedureCodeSequence"]) or ()]
    reason = text_of(order, "ReasonForTheRequestedProcedure") or text_of(order, "ReasonForTheImagingServiceRequest")
    uid = text_of(order, "StudyInstanceUID")
    numbers = [(text_of(order, keyword), type_code) for keyword, type_code in _NUMBERS]
    identifiers = [systems.identifier(value, "", type_code) for value, type_code in numbers if value]
    return filled(
        {
            "resourceType": "ServiceRequest",
            "id": name,
            "identifier": [*identifiers, *([{"system": DICOM_UID, "value": OID + uid}] if uid else [])],
            "status": status,
            "intent": "order",
            "category": [{"coding": [_IMAGING]}],
            "priority": _PRIORITIES.get(text_of(order, "RequestedProcedurePriority")),
            "code": filled({**codes[0], "text": description or codes[0].get("text")})
            if codes
            else filled({"text": description}),
            "subject": subject(order, systems),
            "occurrenceDateTime": days[0] if days else None,
            "authoredOn": date_of(text_of(order, "IssueDateOfImagingServiceRequest")),
            "requester": filled({"display": requester}),
            "reasonCode": reasons or ([{"text": reason}] if reason else []),
            "note": [{"text": text}] if (text := text_of(order, "RequestedProcedureComments")) else [],
        }
    )
