"""Which attributes a workitem needs, and when (PS3.4 table CC.2.5-3, pure).

As for performed procedure steps, an attribute of type 2 that N-CREATE leaves out is taken as empty: only values of type
1 are required.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gantry.common.dicom.standard.dictionary import TAGS, keyword_of_tag
from gantry.common.dicom.standard.tags import SOP_CLASS_UID, SOP_INSTANCE_UID
from gantry.common.orders import first, items
from gantry.common.statuses import (
    INVALID_ATTRIBUTE_VALUE,
    MISSING_ATTRIBUTE,
    MISSING_ATTRIBUTE_VALUE,
    WORKITEM_FINAL_STATE_REQUIREMENTS,
    WORKITEM_NOT_SCHEDULED,
)
from gantry.common.workitems.model import (
    CANCELLED_AT,
    PERFORMED,
    PROCEDURE_STEP_STATE,
    PROGRESS,
    TRANSACTION_UID,
    WHY_DISCONTINUED,
    Attributes,
    WorkitemState,
)


def _tags(keywords: str) -> tuple[int, ...]:
    return tuple(TAGS[keyword] for keyword in keywords.split())


AT_CREATION = _tags(
    "ScheduledProcedureStepPriority ProcedureStepLabel ScheduledProcedureStepStartDateTime InputReadinessState"
)
"""1/1 in N-CREATE, beside Procedure Step State."""
EMPTY_AT_CREATION = (TRANSACTION_UID, PROGRESS, PERFORMED)
"""Nobody performs a workitem that is created."""
NOT_TO_BE_SET = frozenset(
    _tags(
        """SOPClassUID SOPInstanceUID PatientName PatientID IssuerOfPatientID IssuerOfPatientIDQualifiersSequence
        PatientBirthDate PatientSex AdmissionID IssuerOfAdmissionIDSequence AdmittingDiagnosesDescription
        AdmittingDiagnosesCodeSequence ReferencedRequestSequence ReplacedProcedureStepSequence ProcedureStepState"""
    )
)
"""Not allowed in N-SET."""
NEVER_EMPTY = frozenset((*AT_CREATION, TAGS["WorklistLabel"]))
"""N-SET may give them another value, not none (3/1)."""
IN_COMPLETED = _tags(
    """PerformedStationNameCodeSequence PerformedProcedureStepStartDateTime PerformedWorkitemCodeSequence
    PerformedProcedureStepEndDateTime"""
)
"""P: in the item of Unified Procedure Step Performed Procedure Sequence, with a value, to complete."""
OUTPUT = TAGS["OutputInformationSequence"]
"""P as well, but without an item where nothing came of it."""
IN_CANCELED = (CANCELLED_AT, WHY_DISCONTINUED)
"""X: in the item of Procedure Step Progress Information Sequence, to cancel."""
_VALUES = {
    TAGS["ScheduledProcedureStepPriority"]: ("HIGH", "MEDIUM", "LOW"),
    TAGS["InputReadinessState"]: ("INCOMPLETE", "UNAVAILABLE", "READY"),
}
"""PS3.3 C.30.2: enumerated."""


@dataclass(frozen=True, slots=True)
class WorkitemProblem:
    """What is wrong: a DIMSE status, and words of at most 64 characters."""

    status: int
    words: str


def problem_of_creation(attributes: Attributes) -> WorkitemProblem | None:
    """What is wrong with the attributes of an N-CREATE; None for nothing."""
    for tag in (*AT_CREATION, PROCEDURE_STEP_STATE):
        if tag not in attributes:
            return WorkitemProblem(MISSING_ATTRIBUTE, f"{keyword_of_tag(tag)} is missing")
        if not _has_value(attributes, tag):
            return WorkitemProblem(MISSING_ATTRIBUTE_VALUE, f"{keyword_of_tag(tag)} has no value")
    if first(attributes, PROCEDURE_STEP_STATE) != WorkitemState.SCHEDULED:
        return WorkitemProblem(WORKITEM_NOT_SCHEDULED, "a workitem begins as SCHEDULED")
    for tag in EMPTY_AT_CREATION:
        if _has_value(attributes, tag):
            return WorkitemProblem(INVALID_ATTRIBUTE_VALUE, f"{keyword_of_tag(tag)} has a value already"[:64])
    return _value_problem(attributes)


def problem_of_setting(attributes: Attributes) -> WorkitemProblem | None:
    """What is wrong with the attributes of an N-SET; None for nothing."""
    for tag in sorted(NOT_TO_BE_SET.intersection(attributes)):
        return WorkitemProblem(INVALID_ATTRIBUTE_VALUE, f"{keyword_of_tag(tag)} may not be set"[:64])
    for tag in sorted(NEVER_EMPTY.intersection(attributes)):
        if not _has_value(attributes, tag):
            return WorkitemProblem(MISSING_ATTRIBUTE_VALUE, f"{keyword_of_tag(tag)} has no value")
    return _value_problem(attributes)


def problem_of_final_state(attributes: Attributes, state: WorkitemState) -> WorkitemProblem | None:
    """What a workitem lacks that is to be completed or cancelled; None for nothing."""
    sequence, tags = (PERFORMED, IN_COMPLETED) if state is WorkitemState.COMPLETED else (PROGRESS, IN_CANCELED)
    sequence_items = items(attributes, sequence)
    if not sequence_items:
        return _unmet(f"{keyword_of_tag(sequence)} is empty")
    for item in sequence_items:
        for tag in tags:
            if not _has_value(item, tag):
                return _unmet(f"{keyword_of_tag(tag)} has no value")
        if state is WorkitemState.COMPLETED and OUTPUT not in item:
            return _unmet("OutputInformationSequence is missing")
    return None


def _unmet(words: str) -> WorkitemProblem:
    return WorkitemProblem(WORKITEM_FINAL_STATE_REQUIREMENTS, words[:64])


def _value_problem(attributes: Attributes) -> WorkitemProblem | None:
    for tag, values in _VALUES.items():
        if tag in attributes and first(attributes, tag) not in values:
            return WorkitemProblem(INVALID_ATTRIBUTE_VALUE, f"{keyword_of_tag(tag)}: {', '.join(values)}"[:64])
    return None


def _has_value(attributes: Attributes, tag: int) -> bool:
    return any(value not in (None, "") for value in attributes.get(tag) or ())


def without(
    attributes: Attributes, tags: Iterable[int] = (SOP_CLASS_UID, SOP_INSTANCE_UID, TRANSACTION_UID)
) -> dict[int, list[object]]:
    """The attributes without some: those that are not kept among them."""
    left = frozenset(tags)
    return {tag: values for tag, values in attributes.items() if tag not in left}
