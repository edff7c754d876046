"""Orders and performed steps for tests: attributes, events and commands."""

from __future__ import annotations

from typing import Any

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.events import (
    OrderCancelled,
    OrderChanged,
    OrderErased,
    OrderPlaced,
    ProcedureStepCreated,
    ProcedureStepSet,
    StudyLinked,
    StudyUnlinked,
)
from gantry.common.orders import pack

PARTITION = "default"


def attributes(**values: Any) -> dict[int, list[Any]]:
    """Attributes by keyword; a single value need not be a list. Names of persons are alphabetic."""
    made: dict[int, list[Any]] = {}
    for keyword, value in values.items():
        parts = value if isinstance(value, list) else [value]
        if keyword.endswith(("Name", "Physician")):
            parts = [{"Alphabetic": part} if isinstance(part, str) else part for part in parts]
        made[TAGS[keyword]] = parts
    return made


def step(id_: str = "S1", **values: Any) -> dict[int, list[Any]]:
    """A scheduled step."""
    fields = {
        "Modality": "CT",
        "ScheduledStationAETitle": "CT1",
        "ScheduledProcedureStepStartDate": "20260105",
        "ScheduledProcedureStepStartTime": "0930",
        "ScheduledPerformingPhysicianName": "House^Gregory",
        "ScheduledProcedureStepID": id_,
        **values,
    }
    return attributes(**{name: value for name, value in fields.items() if value is not None})


def order(*steps: dict[int, list[Any]], **values: Any) -> dict[int, list[Any]]:
    """An order with these steps, or with one default step."""
    fields = {
        "AccessionNumber": "A1",
        "PatientID": "P1",
        "PatientName": "Doe^Jane",
        "RequestedProcedureID": "R1",
        "StudyInstanceUID": "1.2.3",
        **values,
    }
    made = attributes(**{name: value for name, value in fields.items() if value is not None})
    return made | {TAGS["ScheduledProcedureStepSequence"]: list(steps) or [step()]}


def nested(depth: int) -> dict[str, Any]:
    """A document with sequences nested to this depth."""
    document: dict[str, Any] = {}
    for _ in range(depth):
        document = {"00081032": {"vr": "SQ", "Value": [document]}}
    return document


def placed(values: dict[int, list[Any]] | None = None, change: str = "c1", key: str = "A1") -> OrderPlaced:
    return OrderPlaced(PARTITION, "", key, change, "rest test", "", 1, pack(order() if values is None else values))


def changed(
    values: dict[int, Any] | None = None,
    steps: dict[str, dict[int, Any] | None] | None = None,
    change: str = "c2",
    key: str = "A1",
) -> OrderChanged:
    return OrderChanged(PARTITION, "", key, change, "rest test", "", 2, pack(values or {}), pack(steps or {}))


def cancelled(*steps: str, change: str = "c3", key: str = "A1") -> OrderCancelled:
    return OrderCancelled(PARTITION, "", key, change, "rest test", "", 3, steps, "patient did not come")


def erased(*performed: str, known: str = "c1", change: str = "c9", key: str = "A1") -> OrderErased:
    return OrderErased(PARTITION, "", key, change, "rest test", "", 9, known, performed, "the law")


def linked(study: str = "1.2.9", change: str = "c4", key: str = "A1", correction: str = "k1") -> StudyLinked:
    return StudyLinked(PARTITION, "", key, change, "rest test", "", 4, study, correction, "wrong worklist entry")


def unlinked(study: str = "1.2.9", change: str = "c5", key: str = "A1") -> StudyUnlinked:
    return StudyUnlinked(PARTITION, "", key, change, "rest test", "", 5, study, "it was the right one")


def reference(**values: Any) -> dict[int, list[Any]]:
    """An item of Scheduled Step Attributes Sequence."""
    fields = {"StudyInstanceUID": "1.2.3", "AccessionNumber": "A1", "ScheduledProcedureStepID": "S1", **values}
    return attributes(**{name: value for name, value in fields.items() if value is not None})


def performed(*references: dict[int, list[Any]], **values: Any) -> dict[int, list[Any]]:
    """The attributes of N-CREATE for a step in progress."""
    fields = {
        "Modality": "CT",
        "PatientID": "P1",
        "PerformedProcedureStepID": "PPS1",
        "PerformedStationAETitle": "CT1",
        "PerformedProcedureStepStartDate": "20260105",
        "PerformedProcedureStepStartTime": "0940",
        "PerformedProcedureStepStatus": "IN PROGRESS",
        **values,
    }
    made = attributes(**{name: value for name, value in fields.items() if value is not None})
    return made | {TAGS["ScheduledStepAttributesSequence"]: list(references) or [reference()]}


def ended(state: str = "COMPLETED", **values: Any) -> dict[int, list[Any]]:
    """The attributes of N-SET for a step that has ended."""
    series = attributes(ProtocolName="Head", SeriesInstanceUID="1.2.3.1")
    series[TAGS["ProtocolName"]] = ["Head"]
    fields = {
        "PerformedProcedureStepStatus": state,
        "PerformedProcedureStepEndDate": "20260105",
        "PerformedProcedureStepEndTime": "0950",
        "PerformedSeriesSequence": [series],
        **values,
    }
    return attributes(**{name: value for name, value in fields.items() if value is not None})


def created(
    values: dict[int, list[Any]] | None = None, change: str = "m1", uid: str = "1.2.840.5"
) -> ProcedureStepCreated:
    return ProcedureStepCreated(
        PARTITION, "", uid, change, "ae CT1", "", 4, pack(performed() if values is None else values)
    )


def set_(values: dict[int, list[Any]] | None = None, change: str = "m2", uid: str = "1.2.840.5") -> ProcedureStepSet:
    return ProcedureStepSet(PARTITION, "", uid, change, "ae CT1", "", 5, pack(ended() if values is None else values))
