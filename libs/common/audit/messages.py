"""An audit record as an AuditMessage (PS3.15 A.5.1), one XML document without line breaks.

The message of each event is that of PS3.15 A.5.3: who asked, where that was, which archive answered, and for what."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, tostring

from gantry.common.audit.kinds import PEER, SENDS, AuditKind, Code, kind_of
from gantry.common.events import AuditedInstances, AuditRecorded

APPLICATION = Code("110150", "Application")
DESTINATION = Code("110152", "Destination Role ID")
SOURCE = Code("110153", "Source Role ID")
_STUDY = Code("110180", "Study Instance UID")
_SOP_CLASS, _ALERT = Code("110181", "SOP Class UID"), Code("110183", "Alert Description")
_PATIENT_NUMBER = "2"
"""Participant Object ID Type Code (RFC 3881 5.5.4)."""
_FROM_REQUESTOR = frozenset((AuditKind.STORED, AuditKind.QUERY, AuditKind.ORDER, AuditKind.PROCEDURE))
"""The requestor is the source; of what is read and sent it is the destination, unless that is somebody else."""


def audit_message(record: AuditRecorded) -> bytes:
    """The message, as UTF-8 without an XML declaration. A kind of a newer release is an Application Activity."""
    kind = kind_of(record.kind) or AuditKind.STARTED
    message = Element("AuditMessage")
    event = SubElement(
        message,
        "EventIdentification",
        EventActionCode=kind.action,
        EventDateTime=time_of(record.at),
        EventOutcomeIndicator=str(record.outcome),
    )
    _coded(event, "EventID", kind.event)
    if kind.type is not None:
        _coded(event, "EventTypeCode", kind.type)
    if record.why:
        SubElement(event, "EventOutcomeDescription").text = _printable(record.why)
    for participant in _participants(record, kind):
        message.append(participant)
    source = SubElement(message, "AuditSourceIdentification", AuditSourceID=_token(record.process) or "gantry")
    # PS3.15 A.5.1.2.1: application server process.
    SubElement(source, "AuditSourceTypeCode", {"csd-code": "4"})
    for about in _objects(record, kind):
        message.append(about)
    written: bytes = tostring(message, encoding="utf-8", xml_declaration=False)
    return written


def time_of(at_us: int) -> str:
    """xs:dateTime in UTC, to the microsecond."""
    whole = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{at_us % 1_000_000:06}Z"


def studies_of(record: AuditRecorded) -> dict[str, list[AuditedInstances]]:
    """The rows by study, those of no study left out."""
    studies: dict[str, list[AuditedInstances]] = {}
    for row in record.objects:
        if row.study_instance_uid:
            studies.setdefault(row.study_instance_uid, []).append(row)
    return studies


def patients_of(record: AuditRecorded) -> list[tuple[str, str]]:
    """Patient ID and issuer of each patient that is named; where only a key is known, that key and its kind."""
    named = [(row.patient_id, row.issuer) for row in record.objects if row.patient_id]
    keyed = [(row.patient_key, "gantry:patient-key") for row in record.objects if row.patient_key]
    return list(dict.fromkeys(named + keyed))


def _participants(record: AuditRecorded, kind: AuditKind) -> Iterator[Element]:
    """PS3.15 A.5.3: the requestor first, then the archive, then who else took part."""
    ours = SubElement(Element("all"), "ActiveParticipant", UserID=_token(record.process) or "gantry")
    ours.set("UserIsRequestor", "true" if record.requestor_is == "archive" else "false")
    if kind in (AuditKind.STARTED, AuditKind.STOPPED):
        _coded(ours, "RoleIDCode", APPLICATION)
        yield ours
        return
    sends_elsewhere = kind in SENDS and record.peer not in ("", record.requestor)
    if record.requestor_is != "archive":
        asks = Element("ActiveParticipant", UserID=_token(record.requestor) or "unknown")
        asks.set("UserIsRequestor", "false" if record.user else "true")
        if not sends_elsewhere:
            _coded(asks, "RoleIDCode", SOURCE if kind in _FROM_REQUESTOR else DESTINATION)
        _place(asks, record.address)
        yield asks
    if record.user:
        # PS3.15 A.5.3: the human requestor, where he is known, beside the process that he worked at.
        yield Element("ActiveParticipant", UserID=_token(record.user), UserIsRequestor="true")
    _coded(ours, "RoleIDCode", DESTINATION if kind in _FROM_REQUESTOR else SOURCE)
    if not sends_elsewhere and record.peer:
        ours.set("AlternativeUserID", f"AETITLES={_token(record.peer)}")
    yield ours
    if sends_elsewhere:
        goes_to = Element("ActiveParticipant", UserID=_token(record.peer), UserIsRequestor="false")
        _coded(goes_to, "RoleIDCode", DESTINATION)
        _place(goes_to, record.peer_address)
        yield goes_to


def _objects(record: AuditRecorded, kind: AuditKind) -> Iterator[Element]:
    if kind is AuditKind.QUERY:
        yield _query(record)
    elif record.query and record.query_class != PEER:  # which order, which procedure step
        yield _object(record.query.decode("utf-8", "replace"), _coded_other(kind.event), "2", "3", record.operation)
    for study, rows in studies_of(record).items():
        yield _study(study, rows, record)
    for patient, issuer in patients_of(record):
        # PS3.15 A.5.3: the patient's name may be left out; what is written here is not to be forgotten for years.
        named = Element("ParticipantObjectIDTypeCode", {"csd-code": _PATIENT_NUMBER, "originalText": "Patient Number"})
        named.set("codeSystemName", "RFC-3881")
        yield _object(f"{patient}^^^{issuer}" if issuer else patient, named, "1", "1", "")
    if kind.event is AuditKind.REFUSED.event:
        alert = _object(record.operation or kind.word, _coded_other(_ALERT), "2", "13", record.why or record.operation)
        if record.query_class == PEER:
            alert.append(Element("ParticipantObjectDetail", type="changed fields", value=_base64(record.query)))
        yield alert


def _study(study: str, rows: list[AuditedInstances], record: AuditRecorded) -> Element:
    about = _object(study, _coded_other(_STUDY), "2", "3", record.operation)
    described = SubElement(about, "ParticipantObjectDescription")
    for row in rows:
        if row.sop_class_uid or row.instances:
            counted = SubElement(described, "SOPClass", NumberOfInstances=str(row.instances))
            if row.sop_class_uid:
                counted.set("UID", row.sop_class_uid)
    if record.deidentified_by and not record.outcome:
        SubElement(described, "Anonymized").text = "true"
    if not len(described):
        about.remove(described)
    details = {"de-identification profile": record.deidentified_by, "times": str(record.times)}
    for name, value in details.items():
        if value not in ("", "1"):
            detail = Element("ParticipantObjectDetail", type=name, value=_base64(value.encode()))
            about.insert(2, detail)
    return about


def _query(record: AuditRecorded) -> Element:
    """PS3.15 A.5.3.10: the SOP class and the identifier of the query."""
    about = Element(
        "ParticipantObjectIdentification",
        ParticipantObjectID=_token(record.query_class) or "unknown",
        ParticipantObjectTypeCode="2",
        ParticipantObjectTypeCodeRole="3",
    )
    about.append(_coded_other(_SOP_CLASS))
    SubElement(about, "ParticipantObjectQuery").text = _base64(record.query)
    return about


def _object(name: str, type_: Element, code: str, role: str, words: str) -> Element:
    about = Element(
        "ParticipantObjectIdentification",
        ParticipantObjectID=_token(name) or "unknown",
        ParticipantObjectTypeCode=code,
        ParticipantObjectTypeCodeRole=role,
    )
    about.append(type_)
    SubElement(about, "ParticipantObjectName").text = _token(words)
    return about


def _coded(parent: Element, name: str, code: Code) -> None:
    parent.append(_of_code(name, code))


def _coded_other(code: Code) -> Element:
    return _of_code("ParticipantObjectIDTypeCode", code)


def _of_code(name: str, code: Code) -> Element:
    return Element(name, {"csd-code": code.value, "codeSystemName": "DCM", "originalText": code.meaning})


def _place(participant: Element, address: str) -> None:
    if address:
        participant.set("NetworkAccessPointID", _token(address))
        is_ip = all(c in "0123456789abcdefABCDEF.:" for c in address)
        participant.set("NetworkAccessPointTypeCode", "2" if is_ip else "1")


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _token(text: str) -> str:
    """xs:token: what XML can carry, without spaces that a reader would not see."""
    return " ".join(_printable(text).split())


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
