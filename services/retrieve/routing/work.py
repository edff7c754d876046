"""Workitems that rules ask for: their common attributes, and the work on a completed study (PS3.4 CC, PS3.3 B.26;
pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from gantry.common.config.routing_sections import PrefetchRuleSettings, RouteRuleSettings
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    ISSUER_OF_PATIENT_ID,
    PATIENT_ID,
    PATIENT_NAME,
    REFERENCED_SOP_CLASS_UID,
    REFERENCED_SOP_INSTANCE_UID,
    REFERENCED_SOP_SEQUENCE,
    RETRIEVE_AE_TITLE,
    RETRIEVE_URL,
    SERIES_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gantry.common.events import StudyCompleted
from gantry.common.ids import Receipt
from gantry.common.ports.index import Location
from gantry.common.web.routes import BASE
from gantry.common.workitems.model import PROCEDURE_STEP_STATE, WORKLIST_LABEL, WorkitemState, moment

PATIENT = (
    PATIENT_NAME,
    PATIENT_ID,
    ISSUER_OF_PATIENT_ID,
    TAGS["PatientBirthDate"],
    TAGS["PatientSex"],
)
"""Of the Patient Demographic and Patient Identification modules."""
_REQUEST = (ACCESSION_NUMBER, TAGS["IssuerOfAccessionNumberSequence"], TAGS["ReferringPhysicianName"])
Values = dict[int, list[Any]]


@dataclass(frozen=True, slots=True)
class Work:
    """The work that a rule wants done: a code, and a station if it is for one, as items of their sequences; `priority`
    is a value of Scheduled Procedure Step Priority; `output` are AE titles and URLs of STOW-RS."""

    rule: str
    label: str
    worklist_label: str
    priority: str
    code: Mapping[int, list[Any]]
    station: Mapping[int, list[Any]] | None = None
    output: tuple[str, ...] = ()


def works_of(rules: Iterable[RouteRuleSettings] | Iterable[PrefetchRuleSettings]) -> dict[str, Work]:
    """The work of rules, by their names; without rules that we carry out ourselves."""
    works = {}
    for rule in rules:
        request = rule.workitem
        if request is not None:
            works[rule.name] = Work(
                *(rule.name, request.label or rule.name, request.worklist_label or rule.name, rule.priority.upper()),
                code_item(request.code),
                None if request.station is None else code_item(request.station),
                request.output,
            )
    return works


def workitem_uid(completed: StudyCompleted, rule: str) -> str:
    """The SOP Instance UID: the same if a completion is read twice."""
    return f"2.25.{int.from_bytes(_digest(completed, rule)[:16], 'big')}"


def change_of(completed: StudyCompleted, rule: str) -> str:
    """The name of the event: it takes effect once, however often it is published."""
    return Receipt(f"{completed.at // 1000:012x}{_digest(completed, rule).hex()[:20]}").id


def attributes_of(
    work: Work, study: Mapping[int, Any], uid: str, locations: Iterable[Location], ae_title: str, url: str, now_us: int
) -> Values:
    """The attributes of the workitem. The input is all that is here of a study, to be fetched from us: from `ae_title`
    and, if our `url` is known, by WADO-RS."""
    return {
        **scheduled(work, now_us),
        TAGS["InputInformationSequence"]: _inputs(uid, locations, ae_title, url),
        TAGS["ReferencedRequestSequence"]: [_request(study, uid)],
        **{tag: list(study.get(tag) or ()) for tag in PATIENT},
    }


def scheduled(work: Work, now_us: int) -> Values:
    """The attributes of every workitem of a rule: the work, to be done now, its performer, and the destination of its
    output."""
    made: Values = {
        TAGS["ScheduledProcedureStepPriority"]: [work.priority],
        TAGS["ProcedureStepLabel"]: [work.label],
        WORKLIST_LABEL: [work.worklist_label],
        TAGS["ScheduledProcedureStepStartDateTime"]: [moment(now_us)],
        TAGS["InputReadinessState"]: ["READY"],
        PROCEDURE_STEP_STATE: [WorkitemState.SCHEDULED.value],
        TAGS["ScheduledWorkitemCodeSequence"]: [dict(work.code)],
        TAGS["ScheduledStationNameCodeSequence"]: [] if work.station is None else [dict(work.station)],
    }
    if work.output:
        made[TAGS["OutputDestinationSequence"]] = [_storage(destination) for destination in work.output]
    return made


def _storage(destination: str) -> Values:
    """An item of PS3.3 table 10-32, Storage Macro."""
    if "://" in destination:
        return {TAGS["STOWRSStorageSequence"]: [{TAGS["StorageURL"]: [destination]}]}
    return {TAGS["DICOMStorageSequence"]: [{TAGS["DestinationAE"]: [destination]}]}


def _request(study: Mapping[int, Any], uid: str) -> Values:
    return {STUDY_INSTANCE_UID: [uid]} | {tag: list(study.get(tag) or ()) for tag in _REQUEST}


def _inputs(uid: str, locations: Iterable[Location], ae_title: str, url: str) -> list[Values]:
    """An item for each series (PS3.3 table 10-3b, Referenced Instances and Access Macro)."""
    series: dict[str, list[Values]] = {}
    for location in locations:
        reference: Values = {
            REFERENCED_SOP_CLASS_UID: [location.sop_class_uid],
            REFERENCED_SOP_INSTANCE_UID: [location.sop_instance_uid],
        }
        series.setdefault(location.series_instance_uid, []).append(reference)
    return [
        {
            TAGS["TypeOfInstances"]: ["DICOM"],
            STUDY_INSTANCE_UID: [uid],
            SERIES_INSTANCE_UID: [name],
            REFERENCED_SOP_SEQUENCE: references,
            TAGS["DICOMRetrievalSequence"]: [{RETRIEVE_AE_TITLE: [ae_title]}],
            **_over_http(f"{url}{BASE}/studies/{uid}/series/{name}" if url else ""),
        }
        for name, references in series.items()
    ]


def _over_http(url: str) -> Values:
    return {TAGS["WADORSRetrievalSequence"]: [{RETRIEVE_URL: [url]}]} if url else {}


def code_item(text: str) -> Values:
    """`VALUE^SCHEME^MEANING` as an item of a code sequence (PS3.3 8.8)."""
    value, scheme, meaning = text.split("^")
    return {
        TAGS["CodeValue"]: [value],
        TAGS["CodingSchemeDesignator"]: [scheme],
        TAGS["CodeMeaning"]: [meaning],
    }


def _digest(completed: StudyCompleted, rule: str) -> bytes:
    parts = completed.partition, completed.study_instance_uid, completed.last_receipt, rule
    return blake3("\0".join(parts).encode()).digest()
