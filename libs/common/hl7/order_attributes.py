"""What the segments of an order say, as attributes of an Imaging Service Request, a Requested Procedure and a Scheduled
Procedure Step (PS3.3 C.4.10 to C.4.12, IHE RAD TF-2 appendix B). Pure.

An empty field says nothing. One that is "\"\"" takes the attribute away, where that is asked of an order that is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from blake3 import blake3

from gantry.common.hl7.collecting import CollectedAttributes
from gantry.common.hl7.datatypes import (
    Element,
    code_item,
    date_and_time,
    entity_issuer,
    performer_name,
    priority,
    provider_name,
    short,
)
from gantry.common.hl7.fields import FieldPath, find
from gantry.common.hl7.message import MessageSegment
from gantry.common.hl7.problems import Spot
from gantry.common.hl7.profiles import SenderProfile

_PREGNANT = "B6"
"""HL7 table 0009, ambulatory status."""
_PREGNANCY_STATUS_PREGNANT = 3
# Descriptions, by attribute: where they stand, first one with a value first.
_ORDER_TEXTS = {
    "PlacerOrderNumberImagingServiceRequest": ("ORC-2", "OBR-2"),
    "ReasonForTheRequestedProcedure": ("OBR-31.2", "OBR-31"),
    "PatientTransportArrangements": ("OBR-30",),
    "RequestedProcedureDescription": ("OBR-44.2", "OBR-4.2"),
    "PatientState": ("OBR-13",),
    "Allergies": ("AL1-3.2", "AL1-3"),
}
_FILLER_NUMBER = {"FillerOrderNumberImagingServiceRequest": ("ORC-3", "OBR-3")}
_VISIT_TEXTS = {"AdmissionID": ("PV1-19",), "CurrentPatientLocation": ("PV1-3",)}
_STEP_TEXTS = {
    "ScheduledProcedureStepDescription": ("IPC-6.2", "OBR-4.5", "OBR-4.2"),
    "ScheduledProcedureStepLocation": ("IPC-8.2", "IPC-8"),
    "ScheduledStationName": ("IPC-7",),
}
_PRIORITY = ("TQ1-9", "ORC-7.6", "OBR-27.6", "OBR-5")


def order_identifiers(
    segments: Sequence[MessageSegment], profile: SenderProfile, collected: CollectedAttributes
) -> None:
    """What an order is known by (`gantry.common.orders.order_key`)."""
    accession = find(segments, profile.accession)
    collected.text("AccessionNumber", accession)
    if accession.spot.segment == "IPC":
        _issuer(segments, collected)
    collected.text("RequestedProcedureID", find(segments, profile.procedure) or accession)
    _texts(segments, _FILLER_NUMBER, collected)


def requested_procedure(
    segments: Sequence[MessageSegment],
    visit: MessageSegment | None,
    profile: SenderProfile,
    collected: CollectedAttributes,
) -> None:
    """Imaging Service Request, Requested Procedure and visit."""
    order_identifiers(segments, profile, collected)
    collected.text("StudyInstanceUID", find(segments, profile.study))
    _texts(segments, _ORDER_TEXTS, collected)
    _entity(segments, "ORC", 2, "OrderPlacerIdentifierSequence", collected)
    _entity(segments, "ORC", 3, "OrderFillerIdentifierSequence", collected)
    urgent = find(segments, _paths(_PRIORITY))
    collected.put("RequestedProcedurePriority", urgent.spot, priority(urgent.text))
    for segment in _of("OBR", segments):
        code = code_item(segment.field(44)) or code_item(segment.field(4))
        collected.items("RequestedProcedureCodeSequence", [code], segment.spot(4))
        _name(segment, 16, "RequestingPhysician", collected)
        break
    if visit is not None:
        _name(visit, 8, "ReferringPhysicianName", collected)
        _texts([visit], _VISIT_TEXTS, collected)
        if any(repetition.text(1) == _PREGNANT for repetition in visit.repetitions(15)):
            collected.put("PregnancyStatus", visit.spot(15), _PREGNANCY_STATUS_PREGNANT)


def scheduled_step(segments: Sequence[MessageSegment], profile: SenderProfile, collected: CollectedAttributes) -> str:
    """The Scheduled Procedure Step of a group; its ID, "" where the group names none."""
    step_id = find(segments, profile.step)
    collected.text("ScheduledProcedureStepID", step_id)
    modality = _modality(segments, profile, collected)
    station = find(segments, profile.station)
    fallback = profile.stations.get(modality) or profile.stations.get("*", "")
    collected.put("ScheduledStationAETitle", station.spot, station.text or (fallback if modality else ""))
    scheduled_start(segments, profile, collected)
    _texts(segments, _STEP_TEXTS, collected)
    for segment in _of("OBR", segments):
        protocols = [code_item(repetition) for ipc in _of("IPC", segments) for repetition in ipc.repetitions(6)]
        codes = protocols or [code_item(segment.field(4), first=4)]
        collected.items("ScheduledProtocolCodeSequence", codes, segment.spot(4, 4))
        name = performer_name(segment.field(34))
        _put_name(segment, 34, name, "ScheduledPerformingPhysicianName", collected)
        break
    return step_id.text


def scheduled_start(segments: Sequence[MessageSegment], profile: SenderProfile, collected: CollectedAttributes) -> None:
    """When a step begins."""
    start = find(segments, profile.start)
    if not start:
        return
    moment = date_and_time(start.text)
    if moment is None:
        collected.wrong(start.spot, "not a time: YYYYMMDDHHMM is needed")
        return
    collected.put("ScheduledProcedureStepStartDate", start.spot, moment[0])
    collected.put("ScheduledProcedureStepStartTime", start.spot, moment[1])


def with_study(key: str, collected: CollectedAttributes) -> None:
    """A Study Instance UID where the message names none: the same whenever the order is placed again (PS3.5 B.2)."""
    if not collected.has("StudyInstanceUID") and key:
        number = int.from_bytes(blake3(f"study of order {key}".encode()).digest(16), "big")
        collected.put("StudyInstanceUID", Spot(), f"2.25.{number}")


def _modality(segments: Sequence[MessageSegment], profile: SenderProfile, collected: CollectedAttributes) -> str:
    field = find(segments, profile.modality)
    modality = profile.modalities.get(field.text, field.text)
    collected.put("Modality", field.spot, modality)
    return modality


def _issuer(segments: Sequence[MessageSegment], collected: CollectedAttributes) -> None:
    """The authority of an accession number that stands in IPC-1. The one of an order number is of order numbers."""
    for segment in _of("IPC", segments):
        issuer = entity_issuer(*(segment.text(1, n) for n in (2, 3, 4)))
        collected.items("IssuerOfAccessionNumberSequence", [issuer], segment.spot(1, 2))
        return


def _entity(
    segments: Sequence[MessageSegment], name: str, field: int, keyword: str, collected: CollectedAttributes
) -> None:
    for segment in _of(name, segments):
        issuer = entity_issuer(*(segment.text(field, n) for n in (2, 3, 4)))
        collected.items(keyword, [issuer], segment.spot(field, 2))
        return


def _texts(
    segments: Sequence[MessageSegment], keywords: Mapping[str, tuple[str, ...]], collected: CollectedAttributes
) -> None:
    for keyword, paths in keywords.items():
        field = find(segments, _paths(paths))
        if field:
            collected.put(keyword, field.spot, short(field.text))
        elif _nulled(segments, _paths(paths)):
            collected.empty(keyword)


def _nulled(segments: Sequence[MessageSegment], paths: Iterable[FieldPath]) -> bool:
    return any(segment.field(path.field).is_null for path in paths for segment in _of(path.segment, segments))


def _name(segment: MessageSegment, field: int, keyword: str, collected: CollectedAttributes) -> None:
    if segment.field(field).is_null:
        collected.empty(keyword)
        return
    _put_name(segment, field, provider_name(segment.field(field)), keyword, collected)


def _put_name(
    segment: MessageSegment, field: int, name: Element | None, keyword: str, collected: CollectedAttributes
) -> None:
    if name is None:
        collected.wrong(segment.spot(field), 'a name with "^", "=" or a backslash in it: DICOM has no such names')
    else:
        collected.put(keyword, segment.spot(field), name or None)


def _of(name: str, segments: Iterable[MessageSegment]) -> list[MessageSegment]:
    return [segment for segment in segments if segment.name == name]


def _paths(texts: Iterable[str]) -> list[FieldPath]:
    return [FieldPath.of(text) for text in texts]
