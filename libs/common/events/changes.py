"""Events as others are told of them: a stable JSON form, and its JSON Schema (docs/changes.md).

One table says for each event which of its fields are in it, under which names and of which form; the form and the
schema are both made of it. No field names a patient: UIDs, receipts, digests of bytes, AE titles, and the reasons that
operators give. A field may be added; none is removed or changes its meaning (golden files in tests/compat/changes).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from blake3 import blake3

from gantry.common.events.headers import without_header
from gantry.common.events.schema import (
    CommitmentReported,
    CommitmentRequested,
    Event,
    HoldPlaced,
    HoldReleased,
    InstanceConflictFound,
    InstancesCommittedElsewhere,
    InstancesDeleted,
    InstancesMoved,
    InstancesMovedBack,
    InstancesRestored,
    InstanceStored,
    NamesakeFound,
    ObjectLost,
    ObjectsCollected,
    ObjectsRelocated,
    OrderCancelled,
    OrderChanged,
    OrderErased,
    OrderPlaced,
    OrderReported,
    PatientCorrected,
    PatientCorrectionsErased,
    PatientCorrectionWithdrawn,
    PatientHoldPlaced,
    PatientHoldReleased,
    PatientMerged,
    ProcedureStepCreated,
    ProcedureStepErased,
    ProcedureStepSet,
    StudyAccessed,
    StudyCompleted,
    StudyCorrected,
    StudyCorrectionsErased,
    StudyCorrectionWithdrawn,
    StudyLinked,
    StudyUnlinked,
    WorkitemCancelRequested,
    WorkitemCreated,
    WorkitemErased,
    WorkitemSet,
    WorkitemStateRequested,
    WorkitemSubscribed,
    WorkitemSubscriptionSuspended,
    WorkitemUnsubscribed,
)

Json = dict[str, Any]
_TEXT: Json = {"type": "string"}
_UID: Json = {"type": "string", "pattern": "^[0-9.]{1,64}$"}
_TIME: Json = {"type": "string", "format": "date-time", "description": "UTC, to the microsecond"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_FLAG: Json = {"type": "boolean"}


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


_RECEIPTS = _list(_object({"SeriesInstanceUID": _UID, "SOPInstanceUID": _UID, "receipt": _TEXT}))
_INSTANCES = _list(_object({"SOPClassUID": _UID, "SOPInstanceUID": _UID}))
_FAILURES = _list(_object({"SOPClassUID": _UID, "SOPInstanceUID": _UID, "FailureReason": _COUNT}))


def _time(at_us: int) -> str:
    whole = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{at_us % 1_000_000:06}Z"


def _receipts(receipts: Any) -> list[Json]:
    names = ("SeriesInstanceUID", "SOPInstanceUID", "receipt")
    return [dict(zip(names, (r.series_instance_uid, r.sop_instance_uid, r.receipt), strict=True)) for r in receipts]


def _instances(references: Any) -> list[Json]:
    return [{"SOPClassUID": r.sop_class_uid, "SOPInstanceUID": r.sop_instance_uid} for r in references]


def _failures(failures: Any) -> list[Json]:
    return [made | {"FailureReason": f.reason} for made, f in zip(_instances(failures), failures, strict=True)]


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of an event: its name there and in JSON, its schema, and what makes JSON of it. One that is `optional`
    is left out where it is empty."""

    attribute: str
    name: str
    schema: Json
    made: Callable[[Any], Any] = lambda value: value
    optional: bool = False


def _field(attribute: str, name: str = "", schema: Json = _TEXT, made: Callable[[Any], Any] | None = None) -> _Field:
    return _Field(attribute, name or attribute, schema, made or (lambda value: value))


_STUDY = _field("study_instance_uid", "StudyInstanceUID", _UID)
_SERIES = _field("series_instance_uid", "SeriesInstanceUID", _UID)
_SOP = _field("sop_instance_uid", "SOPInstanceUID", _UID)
_SENDER = _field("calling_ae_title", "sender")
_SOME = _field("receipts", "receipts", _RECEIPTS, _receipts)
_AT = _field("at", "at", _TIME, _time)
_WHY = (_field("reason"), _field("by"), _AT)
_KEY: Json = {"type": "string", "description": "BLAKE3 of Patient ID and issuer, as gantry.common.lifecycle says"}
_PATIENT = _field("patient", schema=_KEY)
_ERASED = _field("corrections", schema=_list(_TEXT), made=list)


def _at(attribute: str) -> _Field:
    return _field(attribute, "at", _TIME, _time)


_OF_ORDER = (_field("order"), _field("change"), _field("source", "by"), _field("message"), _AT)
_OF_STEP = (_SOP, _field("change"), _field("source", "by"), _field("message"), _AT)
_MOVE = (
    _STUDY, _field("move"), _SOME, _field("into_study", "intoStudyInstanceUID", _UID),
    _field("into_series", "intoSeriesInstanceUID", _UID), *_WHY,
)  # fmt: skip
_CODE = _Field("code", "code", {"type": "string", "description": "Of the rejection note"}, optional=True)
_DELETION = (_STUDY, _field("deletion"), _SOME, _field("final", schema=_FLAG), *_WHY, _CODE)
_TABLE: Mapping[str, tuple[type[Event], str, tuple[_Field, ...]]] = {
    "stored": (
        InstanceStored,
        "An object is durable; its receipt has a name of its own.",
        (
            _STUDY, _SERIES, _SOP, _field("sop_class_uid", "SOPClassUID", _UID),
            _field("transfer_syntax_uid", "TransferSyntaxUID", _UID), _field("receipt"), _field("digest"),
            _field("object_size", "size", _COUNT), _SENDER, _at("stored_at"),
        ),
    ),
    "lost": (
        ObjectLost,
        "The object of a receipt was found missing or damaged.",
        (_STUDY, _SERIES, _SOP, _field("receipt"), _field("reason"), _field("found_by", "by"), _at("found_at")),
    ),
    "conflicted": (
        InstanceConflictFound,
        "An instance came again with other bytes: `kept` is current, `aside` beside it.",
        (
            _STUDY, _SOP, _field("kept_receipt", "kept"), _field("kept_digest", "keptDigest"),
            _field("aside_receipt", "aside"), _field("aside_digest", "asideDigest"), _SENDER, _at("found_at"),
        ),
    ),
    "namesake": (
        NamesakeFound,
        "The SOP Instance UID of an instance is that of another one, in another series, too.",
        (
            _STUDY, _SERIES, _SOP, _field("receipt"),
            _field("other_study_instance_uid", "otherStudyInstanceUID", _UID),
            _field("other_series_instance_uid", "otherSeriesInstanceUID", _UID),
            _field("other_receipt", "otherReceipt"), _SENDER, _at("found_at"),
        ),
    ),
    "deleted": (InstancesDeleted, "Receipts were deleted; `final`: for good.", _DELETION),
    "rejected": (InstancesDeleted, "Receipts were rejected by a note: hidden, and their objects stay.", _DELETION),
    "restored": (
        InstancesRestored,
        "Deletions or rejections of these receipts were withdrawn.",
        (_STUDY, _field("deletions", schema=_list(_TEXT), made=list), _SOME, *_WHY),
    ),
    "moved": (InstancesMoved, "Receipts of a series belong to a series of another study now.", _MOVE),
    "moved-back": (InstancesMovedBack, "A move was withdrawn: the receipts are what they were before.", _MOVE),
    "collected": (
        ObjectsCollected,
        "The objects of these receipts are no longer in the object store; `digests` in their order.",
        (_STUDY, _SOME, _field("digests", schema=_list(_TEXT), made=list), _AT),
    ),
    "relocated": (
        ObjectsRelocated,
        "The objects of these receipts lie in another object store now; their bytes are the same.",
        (_STUDY, _field("store"), _SOME, _AT),
    ),
    "held": (HoldPlaced, "A hold was placed on a study.", (_STUDY, _field("hold"), *_WHY)),
    "released": (HoldReleased, "A hold on a study was released.", (_STUDY, _field("hold"), *_WHY)),
    "patient-held": (PatientHoldPlaced, "A hold was placed on a patient; whose is not said.", (_field("hold"), *_WHY)),
    "patient-released": (PatientHoldReleased, "A hold on a patient was released.", (_field("hold"), *_WHY)),
    "corrected": (
        StudyCorrected,
        "Attributes of a study, or of one series where it is named, were corrected; ask for the study to see them.",
        (_STUDY, _field("series_instance_uid", "SeriesInstanceUID"), _field("correction"), *_WHY),
    ),
    "correction-withdrawn": (
        StudyCorrectionWithdrawn, "A correction of a study stands no longer.", (_STUDY, _field("correction"), *_WHY),
    ),
    "corrections-erased": (
        StudyCorrectionsErased, "The values of these corrections are gone, with the study.", (_STUDY, _ERASED, _AT),
    ),
    "patient-corrected": (
        PatientCorrected, "A patient was corrected, in all studies.", (_PATIENT, _field("correction"), *_WHY),
    ),
    "merged": (
        PatientMerged,
        "A patient was merged into another one; `renamed`: has another Patient ID, which was nobody's.",
        (_PATIENT, _field("into", schema=_KEY), _field("renamed", schema=_FLAG), _field("correction"), *_WHY),
    ),
    "patient-correction-withdrawn": (
        PatientCorrectionWithdrawn,
        "A correction of a patient, or a merge, stands no longer.",
        (_PATIENT, _field("correction"), *_WHY),
    ),
    "patient-corrections-erased": (
        PatientCorrectionsErased, "The values of these corrections are gone, with the patient.",
        (_PATIENT, _ERASED, _AT),
    ),
    "accessed": (StudyAccessed, "A study was retrieved; at most once a day, where retention asks.", (_STUDY, _AT)),
    "completed": (
        StudyCompleted,
        "Nothing more is expected of a study for now. `added` came since the last time; `instances` can be found.",
        (
            _STUDY, _field("reason"), _field("added", schema=_COUNT), _field("instances", schema=_COUNT),
            _field("first_receipt", "firstReceipt"), _field("last_receipt", "lastReceipt"), _AT,
            _field("senders", schema=_list(_TEXT), made=list),
        ),
    ),
    "order-placed": (OrderPlaced, "An order was placed; ask for it to see its attributes.", _OF_ORDER),
    "order-changed": (OrderChanged, "Attributes or steps of an order were to be changed.", _OF_ORDER),
    "order-cancelled": (
        OrderCancelled,
        "The steps with these Scheduled Procedure Step IDs were to be cancelled, or, without any, the whole order.",
        (*_OF_ORDER, _field("steps", schema=_list(_TEXT), made=list), _field("reason")),
    ),
    "order-reported": (
        OrderReported, "A report on an order came: preliminary, final, corrected or cancelled.",
        (*_OF_ORDER, _field("status"), _field("studies", "StudyInstanceUIDs", _list(_UID), list)),
    ),
    "order-erased": (
        OrderErased, "All that an order said is gone, with what these performed procedure steps said.",
        (*_OF_ORDER, _field("performed", schema=_list(_UID), made=list), _field("reason")),
    ),
    "study-linked": (
        StudyLinked, "A study was made for this order, whatever its images say.",
        (*_OF_ORDER, _STUDY, _field("correction"), _field("reason")),
    ),
    "study-unlinked": (StudyUnlinked, "It was not, after all.", (*_OF_ORDER, _STUDY, _field("reason"))),
    "step-created": (ProcedureStepCreated, "A modality began a performed procedure step.", _OF_STEP),
    "step-set": (ProcedureStepSet, "A modality set attributes of a performed procedure step.", _OF_STEP),
    "step-erased": (
        ProcedureStepErased, "All that a performed procedure step said is gone.", (*_OF_STEP, _field("reason")),
    ),
    "workitem-created": (WorkitemCreated, "A workitem (Unified Procedure Step) was to be created.", _OF_STEP),
    "workitem-set": (WorkitemSet, "Attributes of a workitem were to be set.", _OF_STEP),
    "workitem-state-requested": (
        WorkitemStateRequested, "A workitem was to get this Procedure Step State.", (*_OF_STEP, _field("state")),
    ),
    "workitem-cancel-requested": (
        WorkitemCancelRequested, "Somebody asked that a workitem be cancelled.", _OF_STEP,
    ),
    "workitem-erased": (WorkitemErased, "All that a workitem said is gone.", (*_OF_STEP, _field("reason"))),
    "workitem-subscribed": (
        WorkitemSubscribed, "An AE title was to be told what happens to workitems.",
        (*_OF_STEP, _field("subscriber"), _field("deletion_lock", "deletionLock", _FLAG)),
    ),
    "workitem-unsubscribed": (
        WorkitemUnsubscribed, "It was not to be told any more.", (*_OF_STEP, _field("subscriber")),
    ),
    "workitem-subscription-suspended": (
        WorkitemSubscriptionSuspended, "It was not to be told of workitems to come.", (*_OF_STEP, _field("subscriber")),
    ),
    "commitment-requested": (
        CommitmentRequested,
        "A peer asked for storage commitment.",
        (
            _field("transaction_uid", "TransactionUID", _UID), _SENDER,
            _field("references", "instances", _INSTANCES, _instances), _at("requested_at"),
        ),
    ),
    "committed": (
        CommitmentReported,
        "The report of a storage commitment was delivered, or given up; `failures` are not committed.",
        (
            _field("transaction_uid", "TransactionUID", _UID), _field("calling_ae_title", "sender"),
            _field("delivered", schema=_FLAG), _field("failures", schema=_FAILURES, made=_failures), _at("reported_at"),
        ),
    ),
    "committed-elsewhere": (
        InstancesCommittedElsewhere,
        "A peer that a study was sent to reported on storage commitment of it; `failures` are not committed there.",
        (
            _STUDY, _field("transaction_uid", "TransactionUID", _UID), _field("ae_title", "receiver"),
            _field("committed", "instances", _INSTANCES, _instances),
            _field("failures", schema=_FAILURES, made=_failures), _at("reported_at"),
        ),
    ),
}  # fmt: skip
# What an event is about, where it may be published twice with other words: a receipt whose event was recovered by the
# sweeper, a conflict that two indexers found, a certificate of two collectors. Others are the same if every byte is.
_ABOUT: Mapping[type[Event], tuple[str, ...]] = {
    InstanceStored: ("receipt",),
    InstanceConflictFound: ("study_instance_uid", "sop_instance_uid", "kept_receipt", "aside_receipt"),
    NamesakeFound: ("receipt", "other_receipt"),
    InstancesDeleted: ("deletion", "receipts"),
    InstancesMoved: ("move", "receipts"),
    InstancesMovedBack: ("move", "receipts"),
    ObjectsCollected: ("study_instance_uid", "receipts"),
    StudyCompleted: ("study_instance_uid", "last_receipt"),
    HoldPlaced: ("hold",),
    HoldReleased: ("hold",),
    PatientHoldPlaced: ("hold",),
    PatientHoldReleased: ("hold",),
    OrderPlaced: ("change",),
    OrderChanged: ("change",),
    OrderCancelled: ("change",),
    OrderReported: ("change",),
    OrderErased: ("change",),
    StudyLinked: ("change",),
    StudyUnlinked: ("change",),
    ProcedureStepCreated: ("change",),
    ProcedureStepSet: ("change",),
    ProcedureStepErased: ("change",),
    WorkitemCreated: ("change",),
    WorkitemSet: ("change",),
    WorkitemStateRequested: ("change",),
    WorkitemCancelRequested: ("change",),
    WorkitemErased: ("change",),
    WorkitemSubscribed: ("change",),
    WorkitemUnsubscribed: ("change",),
    WorkitemSubscriptionSuspended: ("change",),
}
_TYPES = {cls: type_ for type_, (cls, *_) in _TABLE.items() if type_ != "rejected"}
CHANGE_TYPES = tuple(_TABLE)
"""What the `type` of a change may be."""
_COMMON: Json = {
    "id": {"type": "string", "description": "The same for the same event, however often it comes"},
    "partition": {"type": "string", "description": "The organisation"},
    "trace": {"type": "string", "description": "What it belongs to; may be empty"},
}


def change_of(event: Event, payload: bytes) -> Json | None:
    """The JSON form of an event, whose encoded bytes are `payload`; None for what is nobody else's business (dead
    letters)."""
    type_ = "rejected" if isinstance(event, InstancesDeleted) and event.kept else _TYPES.get(type(event))
    if type_ is None:
        return None
    made: Json = {
        "id": _id(type_, event, payload),
        "type": type_,
        "partition": event.partition,
        "trace": event.trace,
    }
    values = [(field, getattr(event, field.attribute)) for field in _TABLE[type_][2]]
    return made | {field.name: field.made(value) for field, value in values if value or not field.optional}


def _id(type_: str, event: Event, payload: bytes) -> str:
    names = _ABOUT.get(type(event))
    if names is None:
        # Without its header an event is the same from the log and from a sealed segment.
        return blake3(without_header(payload)).hexdigest()[:32]
    about = json.dumps([type_, *_plain(event, names)])
    return blake3(about.encode()).hexdigest()[:32]


def _plain(event: Event, names: tuple[str, ...]) -> list[Any]:
    return [_receipts(getattr(event, name)) if name == "receipts" else getattr(event, name) for name in names]


def schema_of(type_: str) -> Json:
    """The JSON Schema of changes of a type. Fields that it does not name may be added by later releases."""
    _, description, fields = _TABLE[type_]
    own = {field.name: field.schema for field in fields}
    made = _object({**_COMMON, "type": {"const": type_}, **own})
    made["required"] = [name for name in made["required"] if name not in {f.name for f in fields if f.optional}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": type_,
        "description": description,
        **made,
        "additionalProperties": True,
    }
