"""The audit trail."""

from __future__ import annotations

from dataclasses import dataclass, field

from gantry.common.events.schema.fields import OMITTED


@dataclass(frozen=True, slots=True)
class AuditedInstances:
    """What an audit record is about: so many `instances` of one SOP class of one study of one patient; "" and 0 for
    what is not known or not meant. `patient_key` stands where a patient is known by a digest of ID and issuer alone."""

    study_instance_uid: str
    patient_id: str = ""
    issuer: str = ""
    patient_key: str = ""
    sop_class_uid: str = ""
    instances: int = 0


@dataclass(frozen=True, slots=True)
class AuditRecorded:
    """Something was accessed, changed, sent, asked for or refused (PS3.15 A.5). `record` names this record: it may come
    twice, and then the one with the higher `times` has all of it. `kind` is one of `gantry.common.audit.AuditKind`,
    `operation` says what was done in words of DICOM or HTTP, `outcome` is 0, 4, 8 or 12 (RFC 3881 5.1.4).

    The `requestor` is an AE title, the name of a token, a person at the command line or a part of the archive, as
    `requestor_is` says ("ae", "token", "this machine", "archive", ""); `peer` is the other side, or where objects went.
    `times` such requests between `begun_at` and `at` are one record; `more` studies are not named in `objects`. `query`
    is the identifier of a query as it came, or a query string, of the SOP class or resource `query_class`. `user` is
    who worked at the requestor, an AE, where it said so and it was checked (PS3.7 D.3.3.7). What was sent was
    de-identified by the profile `deidentified_by`."""

    partition: str
    trace: str
    record: str
    kind: str
    operation: str
    outcome: int
    why: str
    requestor: str
    requestor_is: str
    address: str
    peer: str
    peer_address: str
    role: str
    process: str
    begun_at: int
    at: int
    times: int = 1
    objects: tuple[AuditedInstances, ...] = ()
    more: int = 0
    query: bytes = b""
    query_class: str = ""
    user: str = field(default="", metadata={"omitted": True})
    deidentified_by: str = field(default="", metadata=OMITTED)
