"""That images of a study are here, changed, or are not here any more, as a message to whoever placed the order: ORU^R01
after Notify of Imaging Results (IHE RAD TF-3, RAD-132), HL7 v2.5.1. Pure.

The fields are those that this archive reads in the messages of others (`gantry.common.hl7.order_attributes`, IHE RAD
TF-2 appendix B), so that what a RIS said comes back where it stood. What is not known is left empty, never made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from urllib.parse import quote

from blake3 import blake3

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query import dates
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.hl7.writing import (
    DELIMITERS,
    MessageCharset,
    components,
    repetitions,
    segment,
    subcomponents,
    text,
)

VERSION = "2.5.1"
_NO_MODALITIES = frozenset(("", "SR", "PR", "KO", "DOC", "OT", "ASMT", "SEG", "REG"))
"""What was made of images, or beside them: said last of a study of several modalities."""
_REPRESENTATIONS = {"Alphabetic": "A", "Ideographic": "I", "Phonetic": "P"}
# HL7 table 0001.
_SEXES = frozenset(("M", "F", "O"))
_OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d", re.ASCII)
_CONTROL_ID = 20
"""Characters of MSH-10 (HL7 v2.5.1 2.15.9.10)."""
Attributes = Mapping[int, Any]


class Standing(Enum):
    """What is told of a study: Result Status (OBR-25, table 0123), Observation Result Status of the Study Instance UID
    (OBX-11, table 0085) and Order Status (ORC-5, table 0038)."""

    HERE = ("R", "O", "CM")
    """Its images are here. R: stored, not verified yet; O: no result, but details of the order."""
    CHANGED = ("C", "C", "CM")
    """What was told of it before is replaced."""
    GONE = ("C", "D", "")
    """Nothing of it is here any more. D: the observation is deleted."""


@dataclass(frozen=True, slots=True)
class Correspondents:
    """Applications and facilities: who sends (MSH-3, MSH-4), who receives (MSH-5, MSH-6); `processing` is MSH-11."""

    sender: str
    sender_facility: str
    receiver: str
    receiver_facility: str
    processing: str = "P"


@dataclass(frozen=True, slots=True)
class ImagingResult:
    """What is told of a study. `attributes` are values of the DICOM JSON model by tag, of the study, its patient and
    its order. `cause` names why it is told, `at` is when that was (microseconds since 1970); `link` opens the images,
    "" where there is none."""

    study_instance_uid: str
    attributes: Attributes
    standing: Standing
    cause: str
    at: int
    link: str = ""


@dataclass(frozen=True, slots=True)
class ResultMessage:
    """A message, and its control ID (MSH-10)."""

    control_id: str
    content: bytes


def result_message(result: ImagingResult, between: Correspondents, charset: MessageCharset) -> ResultMessage:
    """The message. MSH-10 is made of everything that it says and of why it is sent: the same is known as the same
    however often it comes, and what says anything else has another one."""
    body = [*_body(result, charset)]
    kind = components("ORU", "R01", "ORU_R01")
    return identified(kind, result.at, result.cause, body, between, charset)


def identified(
    kind: str, at: int, cause: str, body: Sequence[str], between: Correspondents, charset: MessageCharset
) -> ResultMessage:
    """A message of a `kind` (MSH-9), with its control ID."""
    digest = blake3("\r".join((_header(kind, at, between, charset, ""), cause, *body)).encode("utf-8", "replace"))
    control_id = digest.hexdigest()[:_CONTROL_ID].upper()
    return ResultMessage(control_id, charset.encoded([_header(kind, at, between, charset, control_id), *body]))


def link_of(template: str, study: str, attributes: Attributes) -> str:
    """A template with `{study}` and `{accession}` as the parts of a URL that they are."""
    accession = _value(attributes, "AccessionNumber")
    return template.replace("{study}", quote(study, safe="")).replace("{accession}", quote(accession, safe=""))


def moment(at_us: int) -> str:
    """A time in microseconds since 1970 as HL7 writes it (v2.5 2A.22), in UTC."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y%m%d%H%M%S+0000")


def _header(kind: str, at: int, between: Correspondents, charset: MessageCharset, control_id: str) -> str:
    fields = {
        2: DELIMITERS.encoding_characters,
        3: text(between.sender),
        4: text(between.sender_facility),
        5: text(between.receiver),
        6: text(between.receiver_facility),
        7: moment(at),
        9: kind,
        10: control_id,
        11: between.processing,
        12: VERSION,
        # MSH-15 and MSH-16 are empty: one acknowledgement, when the message was dealt with (original mode).
        18: charset.header,
    }
    return segment("MSH", fields)


def _body(result: ImagingResult, charset: MessageCharset) -> Iterator[str]:
    study, (status, observed, order_status) = result.attributes, result.standing.value
    placer = _entity(study, "PlacerOrderNumberImagingServiceRequest", "OrderPlacerIdentifierSequence")
    filler = _entity(study, "FillerOrderNumberImagingServiceRequest", "OrderFillerIdentifierSequence")
    at, procedure = moment(result.at), _procedure(study)
    yield segment("PID", {1: "1", **patient_fields(study, charset)})
    # Table 0004: whether the patient is an inpatient is not known here.
    yield segment("PV1", {1: "1", 2: "U"})
    # Table 0119, SC: the status changed.
    yield segment("ORC", {1: "SC", 2: placer, 3: filler, 5: order_status, 9: at})
    order = {
        1: "1",
        2: placer,
        3: filler,
        4: procedure or components("", text(_description(study))),
        7: _studied(study),
        16: _provider(study, charset),
        18: _text(study, "AccessionNumber"),
        19: _text(study, "RequestedProcedureID"),
        22: at,
        24: text(_modality(study)),
        25: status,
        44: procedure,
    }
    yield segment("OBR", order)
    uid = {1: "1", 2: "ST", 3: components("113014", "DICOM Study", "DCM"), 5: text(result.study_instance_uid)}
    yield segment("OBX", {**uid, 11: observed, 14: _studied(study)})
    if result.link:
        # Tables 0191 and 0291: a page to be looked at.
        pointer = components(text(result.link), text("GANTRY"), "TEXT", "HTML")
        name = components("VIEWER", "Link to the images", "99GANTRY")
        yield segment("OBX", {1: "2", 2: "RP", 3: name, 5: pointer, 11: observed})


def patient_identifier(attributes: Attributes) -> str:
    """Patient ID and its issuer (CX); "" where there is none."""
    identifier = _text(attributes, "PatientID")
    return components(identifier, "", "", _authority(attributes), "MR") if identifier else ""


def patient_fields(study: Attributes, charset: MessageCharset) -> dict[int, str]:
    """PID-3, PID-5, PID-7, PID-8."""
    sex = _value(study, "PatientSex").upper()
    return {
        3: patient_identifier(study),
        5: _names(study.get(TAGS["PatientName"]) or (), charset),
        7: dates.date(_value(study, "PatientBirthDate")) or "",
        8: sex if sex in _SEXES else "U" if sex else "",
    }


def _authority(study: Attributes) -> str:
    """The assigning authority (HD): the issuer, and its universal ID where that is known."""
    (qualifiers,) = _items(study, "IssuerOfPatientIDQualifiersSequence")[:1] or [{}]
    universal = _text(qualifiers, "UniversalEntityID"), _text(qualifiers, "UniversalEntityIDType")
    return subcomponents(_text(study, "IssuerOfPatientID"), *(universal if all(universal) else ("", "")))


def _names(values: Sequence[Any], charset: MessageCharset) -> str:
    """A name as XPN: a repetition for each of its representations (XPN-8), L: the legal name."""
    groups = name_groups(values[0]) if values else {}
    able = {kind: name for kind, name in groups.items() if charset.holds(name)}
    made = []
    for kind, name in (able or groups).items():
        family, given_name, middle, prefix, suffix = (text(part) for part in _parts(name))
        made.append(components(family, given_name, middle, suffix, prefix, "", "L", _REPRESENTATIONS[kind]))
    return repetitions(made)


def _provider(study: Attributes, charset: MessageCharset) -> str:
    """Who asked for it (XCN): without an ID, the name that can be written."""
    values = study.get(TAGS["RequestingPhysician"]) or study.get(TAGS["ReferringPhysicianName"]) or ()
    groups = [*name_groups(values[0]).values()] if values else []
    if not groups:
        return ""
    name = next(filter(charset.holds, groups), groups[0])
    family, given_name, middle, prefix, suffix = (text(part) for part in _parts(name))
    return components("", family, given_name, middle, suffix, prefix)


def name_groups(value: Any) -> dict[str, str]:
    """The component groups of a PN that say something, by their names in DICOM JSON (PS3.18 F.2.2)."""
    if isinstance(value, Mapping):
        groups = {kind: text_of(value.get(kind) or "") for kind in _REPRESENTATIONS}
    else:
        groups = dict(zip(_REPRESENTATIONS, text_of(value).split("="), strict=False))
    return {kind: name for kind, name in groups.items() if name.replace("^", "").strip()}


def _parts(name: str) -> list[str]:
    """PS3.5 6.2.1.1: family, given, middle, prefix, suffix."""
    return (name.split("^", 4) + [""] * 5)[:5]


def _entity(study: Attributes, number: str, issuer: str) -> str:
    """An entity identifier (EI); "" without a number."""
    entity = _text(study, number)
    if not entity:
        return ""
    (issuer_item,) = _items(study, issuer)[:1] or [{}]
    names = "LocalNamespaceEntityID", "UniversalEntityID", "UniversalEntityIDType"
    return components(entity, *(_text(issuer_item, name) for name in names))


def _procedure(study: Attributes) -> str:
    """The code of the procedure (RAD-132: the performed one before the requested one); "" where there is none."""
    for keyword in ("ProcedureCodeSequence", "RequestedProcedureCodeSequence"):
        for item in _items(study, keyword):
            code, meaning, scheme = (
                _text(item, name) for name in ("CodeValue", "CodeMeaning", "CodingSchemeDesignator")
            )
            if code:
                return components(code, meaning, scheme)
    return ""


def _description(study: Attributes) -> str:
    return _value(study, "StudyDescription") or _value(study, "RequestedProcedureDescription") or _modality(study)


def _studied(study: Attributes) -> str:
    """When the study was (TS), with its offset from UTC where that is known."""
    day, time = dates.date(_value(study, "StudyDate")), dates.time(_value(study, "StudyTime"))
    zone = _value(study, "TimezoneOffsetFromUTC")
    if not day:
        return ""
    return day + (time[:6] + (zone if _OFFSET.fullmatch(zone) else "") if time else "")


def _modality(study: Attributes) -> str:
    """The modality that took images; of several always the same one, in whatever order they are known."""
    values = study.get(TAGS["ModalitiesInStudy"]) or study.get(TAGS["Modality"]) or ()
    modalities = sorted(text_of(value) for value in values)
    return next((modality for modality in modalities if modality not in _NO_MODALITIES), next(iter(modalities), ""))


def _items(attributes: Attributes, keyword: str) -> list[Attributes]:
    return [item for item in attributes.get(TAGS[keyword]) or () if isinstance(item, dict)]


def _value(attributes: Attributes, keyword: str) -> str:
    values = attributes.get(TAGS[keyword])
    return text_of(values[0]).strip() if values and values[0] is not None else ""


def _text(attributes: Attributes, keyword: str) -> str:
    return text(_value(attributes, keyword))
