"""An audit record as a FHIR AuditEvent (R4), after the patterns of IHE BALP: what came over HTTP as a RESTful
operation, everything else with the codes of DICOM and the same agents and entities."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from gantry.common.audit.kinds import PEER, SENDS, SUCCESS, AuditKind, Code, kind_of
from gantry.common.audit.messages import DESTINATION, SOURCE, patients_of, studies_of, time_of
from gantry.common.events import AuditRecorded
from gantry.common.telemetry.traces import trace_id

Json = dict[str, Any]
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_REST = {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"}
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_ENTITY = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_BALP = "https://profiles.ihe.net/ITI/BALP"
_INTERACTIONS = {"C": "create", "R": "read", "U": "update", "D": "delete"}
_PROFILES = {"create": "Create", "read": "Read", "update": "Update", "delete": "Delete", "search": "Query"}
_OVER_HTTP = ("GET ", "HEAD ", "POST ", "DELETE ", "PATCH ", "STOW-RS")
_FROM_CLIENT = frozenset(("create", "update", "search"))
"""ITI BALP: the client of these is the source, and of a read it is the destination."""


def audit_event(record: AuditRecorded) -> Json:
    """The resource, as JSON values."""
    kind = kind_of(record.kind) or AuditKind.STARTED
    interaction = _interaction(record, kind)
    made: Json = {"resourceType": "AuditEvent", "id": record.record}
    patients = patients_of(record)
    if interaction and record.outcome == SUCCESS:
        profile = f"{'Patient' if patients else ''}{_PROFILES[interaction]}"
        made["meta"] = {"profile": [f"{_BALP}/StructureDefinition/IHE.BasicAudit.{profile}"]}
    made["type"] = _REST if interaction else _coding(kind.event)
    subtypes = [{"system": _INTERACTION, "code": interaction}, _coding(kind.event)] if interaction else []
    subtypes += [_coding(kind.type)] if kind.type is not None else []
    made |= {"subtype": subtypes} if subtypes else {}
    made |= {
        "action": kind.action,
        "period": {"start": time_of(record.begun_at), "end": time_of(record.at)},
        "recorded": time_of(record.at),
        "outcome": str(record.outcome),
    }
    made |= {"outcomeDesc": record.why} if record.why else {}
    made["agent"] = list(_agents(record, interaction in _FROM_CLIENT or kind is AuditKind.STORED))
    made["source"] = {
        "observer": {"display": record.process or "gantry"},
        "type": [{"system": "http://terminology.hl7.org/CodeSystem/security-source-type", "code": "4"}],
    }
    entities = list(_entities(record, kind))
    return made | ({"entity": entities} if entities else {})


def _interaction(record: AuditRecorded, kind: AuditKind) -> str:
    """The RESTful interaction; "" for what is none."""
    if not record.operation.startswith(_OVER_HTTP) or kind in (
        AuditKind.LOGIN,
        AuditKind.LOGOUT,
        AuditKind.REFUSED,
        AuditKind.PROTECTION,
    ):
        return ""
    return "search" if kind is AuditKind.QUERY else _INTERACTIONS.get(kind.action, "")


def _agents(record: AuditRecorded, from_client: bool) -> Iterator[Json]:
    """Client, server, and the user where the client told one."""
    client, server = (SOURCE, DESTINATION) if from_client else (DESTINATION, SOURCE)
    if record.requestor_is != "archive":
        asks: Json = {"type": _concept(client), "who": {"display": record.requestor or "unknown"}, "requestor": False}
        asks |= _network(record.address)
        if record.requestor_is != "token" and not record.user:
            asks["requestor"] = True
        yield asks
    yield {
        "type": _concept(server),
        "who": {"display": record.process or "gantry"},
        "requestor": record.requestor_is == "archive",
    }
    user = record.requestor if record.requestor_is == "token" else record.user
    if user:
        participation = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
        yield {
            "type": {"coding": [{"system": participation, "code": "IRCP", "display": "information recipient"}]},
            "who": {"identifier": {"value": user}},
            "requestor": True,
        }
    if record.peer and record.peer != record.requestor and kind_of(record.kind) in SENDS:
        yield {"type": _concept(DESTINATION), "who": {"display": record.peer}, "requestor": False} | _network(
            record.peer_address
        )


def _entities(record: AuditRecorded, kind: AuditKind) -> Iterator[Json]:
    if trace := trace_id(record.trace):
        yield {
            "what": {"identifier": {"value": trace}},
            "type": {"system": f"{_BALP}/CodeSystem/BasicAuditEntityType", "code": "XrequestId"},
        }
    if kind is AuditKind.QUERY:
        # R4 sev-1: an entity has a name or a query, not both.
        detail = {"query": b64encode(record.query).decode("ascii")} if record.query else {"name": record.operation}
        yield {"type": _system_object(), "role": _coded(_ROLE, "24", "Query"), **detail}
    if record.query_class == PEER:
        fields = record.query.decode("utf-8", "replace")
        yield {
            "type": _system_object(),
            "role": _coded(_ROLE, "13", "Security Resource"),
            "name": record.operation,
            "detail": [{"type": "changed fields", "valueString": fields}],
        }
    for patient, issuer in patients_of(record):
        identifier = {"value": patient} | ({"assigner": {"display": issuer}} if issuer else {})
        yield {
            "what": {"identifier": identifier},
            "type": _coded(_ENTITY, "1", "Person"),
            "role": _coded(_ROLE, "1", "Patient"),
        }
    for study, rows in studies_of(record).items():
        details = [{"type": row.sop_class_uid or "instances", "valueString": str(row.instances)} for row in rows]
        details += [{"type": "times", "valueString": str(record.times)}] if record.times > 1 else []
        if record.deidentified_by:
            details.append({"type": "de-identification profile", "valueString": record.deidentified_by})
        yield {
            "what": {"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{study}"}},
            "type": _system_object(),
            "role": _coded(_ROLE, "4", "Domain Resource"),
            "detail": details,
        }


def _network(address: str) -> Json:
    # http://hl7.org/fhir/network-type: 2 is an IP address.
    return {"network": {"address": address, "type": "2"}} if address else {}


def _system_object() -> Json:
    return _coded(_ENTITY, "2", "System Object")


def _concept(code: Code) -> Json:
    return {"coding": [_coding(code)]}


def _coding(code: Code) -> Json:
    return _coded(_DCM, code.value, code.meaning)


def _coded(system: str, code: str, display: str) -> Json:
    return {"system": system, "code": code, "display": display}
