"""Which attributes a performed procedure step needs, and when (PS3.4 table F.7.2-1, pure).

Only values of type 1 are required. An attribute of type 2 that is not there is taken as empty: modalities leave many of
them out, and a step that is refused for it is missing on the worklist and in the counts of its department.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gantry.common.dicom.standard.dictionary import TAGS, keyword_of_tag
from gantry.common.dicom.standard.tags import PERFORMED_SERIES_SEQUENCE, SCHEDULED_STEP_ATTRIBUTES_SEQUENCE
from gantry.common.statuses import MISSING_ATTRIBUTE, MISSING_ATTRIBUTE_VALUE

Attributes = Mapping[int, list[Any]]


def _tags(keywords: str) -> tuple[int, ...]:
    return tuple(TAGS[keyword] for keyword in keywords.split())


AT_CREATION = _tags(
    """ScheduledStepAttributesSequence PerformedProcedureStepID PerformedStationAETitle PerformedProcedureStepStartDate
    PerformedProcedureStepStartTime PerformedProcedureStepStatus Modality"""
)
"""1/1 in N-CREATE."""
IN_SCHEDULED_STEP = _tags("StudyInstanceUID")
"""1/1 in each item of Scheduled Step Attributes Sequence."""
IN_SERIES = _tags("ProtocolName SeriesInstanceUID")
"""1/1 in each item of Performed Series Sequence, whenever there is one."""
IN_FINAL_STATE = _tags("PerformedProcedureStepEndDate PerformedProcedureStepEndTime PerformedSeriesSequence")
"""1 in the final state. Note 2: a series must exist for every step, though it may have no instances."""
NOT_TO_BE_SET = frozenset(
    _tags(
        """ScheduledStepAttributesSequence PatientName PatientID IssuerOfPatientID IssuerOfPatientIDQualifiersSequence
        OtherPatientIDsSequence PatientBirthDate PatientSex ReferencedPatientSequence AdmissionID
        IssuerOfAdmissionIDSequence ServiceEpisodeID IssuerOfServiceEpisodeIDSequence ServiceEpisodeDescription
        PerformedProcedureStepID PerformedStationAETitle PerformedStationName PerformedLocation
        PerformedProcedureStepStartDate PerformedProcedureStepStartTime Modality StudyID SpecificCharacterSet"""
    )
)
"""Not allowed in N-SET. The character set of N-SET is that of its own text, and does not replace the other."""


@dataclass(frozen=True, slots=True)
class StepProblem:
    """What is wrong with the attributes of a step: a DIMSE status, and words of at most 64 characters."""

    status: int
    words: str


def problem_of_creation(attributes: Attributes) -> StepProblem | None:
    """What is wrong with the attributes of an N-CREATE; None for nothing."""
    problem = _missing(attributes, AT_CREATION)
    return (
        problem or _in_items(attributes, SCHEDULED_STEP_ATTRIBUTES_SEQUENCE, IN_SCHEDULED_STEP) or _series(attributes)
    )


def problem_of_final_state(attributes: Attributes) -> StepProblem | None:
    """What a step lacks that is to be completed or discontinued; None for nothing. PS3.7 10.1.3.1.9: an N-SET is
    refused for a missing value (0121H), not for a missing attribute."""
    problem = _missing(attributes, IN_FINAL_STATE) or _series(attributes)
    return None if problem is None else StepProblem(MISSING_ATTRIBUTE_VALUE, problem.words)


def fixed(attributes: Attributes) -> frozenset[int]:
    """Those attributes that cannot be changed by N-SET."""
    return NOT_TO_BE_SET.intersection(attributes)


def _missing(attributes: Attributes, tags: Iterable[int], within: str = "") -> StepProblem | None:
    for tag in tags:
        if tag not in attributes:
            return StepProblem(MISSING_ATTRIBUTE, f"{within}{keyword_of_tag(tag)} is missing"[:64])
        if not any(value not in (None, "") for value in attributes[tag]):
            return StepProblem(MISSING_ATTRIBUTE_VALUE, f"{within}{keyword_of_tag(tag)} has no value"[:64])
    return None


def _series(attributes: Attributes) -> StepProblem | None:
    return _in_items(attributes, PERFORMED_SERIES_SEQUENCE, IN_SERIES)


def _in_items(attributes: Attributes, sequence: int, tags: Iterable[int]) -> StepProblem | None:
    for item in attributes.get(sequence) or ():
        problem = _missing(item if isinstance(item, dict) else {}, tags, "in a sequence: ")
        if problem is not None:
            return problem
    return None
