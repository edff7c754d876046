"""Events as bytes: msgpack of [name, version, {field: value}].

Every version that was ever written is read for ever (golden files in tests/compat). Unknown fields of a known version
are ignored, so that an older consumer survives a newer producer during a rolling update; an unknown name or version is
an `UndecodableEvent`, which the consumer loop puts with the dead letters.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import msgpack

from gantry.common.dicom.scan.layout import BulkElement, PixelData
from gantry.common.errors import UndecodableEvent
from gantry.common.events.schema import (
    AssociationEnded,
    AssociationRefused,
    AuditedInstances,
    AuditRecorded,
    CommitmentFailure,
    CommitmentReference,
    CommitmentReported,
    CommitmentRequested,
    DeadLetter,
    DeadLetterDiscarded,
    DeadLetterReplayed,
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
    MessageAnswered,
    MessageDiscarded,
    MessageQuarantined,
    NamesakeFound,
    NotifierBegan,
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
    PeerRemoved,
    PeerSet,
    ProcedureStepCreated,
    ProcedureStepErased,
    ProcedureStepSet,
    ProcessReported,
    ReceiptReference,
    RequestAnswers,
    RouteDelayed,
    RouteEnded,
    RouteProgressed,
    RouteRequested,
    SessionsEnded,
    ShareCopied,
    ShareCreated,
    ShareOpened,
    ShareRevoked,
    ShareTried,
    StoreSpace,
    StudyAccessed,
    StudyCompleted,
    StudyCorrected,
    StudyCorrectionsErased,
    StudyCorrectionWithdrawn,
    StudyDelivered,
    StudyLinked,
    StudyUnlinked,
    SubscribedStudyNoted,
    SubscriberNotified,
    SubscriptionCreated,
    SubscriptionDeleted,
    SubscriptionEventsCounted,
    SubscriptionStatusChanged,
    WorkitemCancelRequested,
    WorkitemCreated,
    WorkitemErased,
    WorkitemSet,
    WorkitemStateRequested,
    WorkitemSubscribed,
    WorkitemSubscriptionSuspended,
    WorkitemUnsubscribed,
)

SCHEMA_VERSION = 1
"""What events are written as."""
_EVENTS: dict[str, type[Event]] = {
    cls.__name__: cls
    for cls in (
        InstanceStored,
        ObjectLost,
        InstanceConflictFound,
        NamesakeFound,
        InstancesDeleted,
        InstancesRestored,
        InstancesMoved,
        InstancesMovedBack,
        ObjectsCollected,
        ObjectsRelocated,
        HoldPlaced,
        HoldReleased,
        StudyCorrected,
        StudyCorrectionWithdrawn,
        StudyCorrectionsErased,
        PatientCorrected,
        PatientMerged,
        PatientCorrectionWithdrawn,
        PatientCorrectionsErased,
        PatientHoldPlaced,
        PatientHoldReleased,
        StudyAccessed,
        StudyCompleted,
        RouteRequested,
        RouteProgressed,
        RouteDelayed,
        RouteEnded,
        CommitmentRequested,
        CommitmentReported,
        InstancesCommittedElsewhere,
        DeadLetter,
        DeadLetterReplayed,
        DeadLetterDiscarded,
        AssociationEnded,
        AssociationRefused,
        MessageAnswered,
        MessageQuarantined,
        MessageDiscarded,
        StudyDelivered,
        ProcessReported,
        OrderPlaced,
        OrderReported,
        OrderChanged,
        OrderCancelled,
        OrderErased,
        StudyLinked,
        StudyUnlinked,
        ProcedureStepCreated,
        ProcedureStepSet,
        ProcedureStepErased,
        ShareCopied,
        NotifierBegan,
        SubscribedStudyNoted,
        SubscriberNotified,
        SubscriptionCreated,
        SubscriptionDeleted,
        SubscriptionEventsCounted,
        SubscriptionStatusChanged,
        WorkitemCreated,
        WorkitemSet,
        WorkitemStateRequested,
        WorkitemCancelRequested,
        WorkitemErased,
        WorkitemSubscribed,
        WorkitemUnsubscribed,
        WorkitemSubscriptionSuspended,
        ShareCreated,
        ShareTried,
        ShareOpened,
        ShareRevoked,
        SessionsEnded,
        PeerSet,
        PeerRemoved,
        AuditRecorded,
    )
}
_FIELDS: dict[type, tuple[str, ...]] = {
    cls: tuple(f.name for f in fields(cls))
    for cls in (
        *_EVENTS.values(),
        *(BulkElement, PixelData, ReceiptReference, CommitmentReference, CommitmentFailure, RequestAnswers, StoreSpace),
        AuditedInstances,
    )
}
# Names and defaults of fields that are not written where they have their default.
_OMITTED = {cls: {f.name: f.default for f in fields(cls) if f.metadata.get("omitted")} for cls in _EVENTS.values()}
# Nested values travel as arrays in field order; the field's name says which class they are.
_NESTED: dict[str, type] = {
    "bulk": BulkElement,
    "receipts": ReceiptReference,
    "references": CommitmentReference,
    "committed": CommitmentReference,
    "failures": CommitmentFailure,
    "answers": RequestAnswers,
    "spaces": StoreSpace,
    "objects": AuditedInstances,
}
_TEXTS = (
    *("deletions", "digests", "corrections", "roles", "problems", "senders", "steps", "performed", "taken", "studies"),
    *("series_instance_uids", "sop_instance_uids", "sop_class_uids", "between", "withheld_uids", "withheld_why"),
    *("copies_of", "reasons"),
)
"""Fields of several texts."""


def _flat(value: Any) -> Any:
    names = _FIELDS.get(type(value))
    if names is not None:
        return [_flat(getattr(value, name)) for name in names]
    if type(value) is tuple:
        return [_flat(item) for item in value]
    return value


def encode(event: Event) -> bytes:
    """The bytes of an event under the current schema version."""
    cls = type(event)
    body = {name: _flat(getattr(event, name)) for name in _FIELDS[cls]}
    for name, default in _OMITTED[cls].items():
        if getattr(event, name) == default:
            del body[name]
    packed: bytes = msgpack.packb([cls.__name__, SCHEMA_VERSION, body])
    return packed


def decode(payload: bytes) -> Event:
    """The event in `payload`; raises `UndecodableEvent` for anything else, whatever the bytes are."""
    try:
        name, version, body = msgpack.unpackb(payload)
        cls = _EVENTS[name]
        if version != SCHEMA_VERSION:
            raise UndecodableEvent(f"{name} has unknown version {version!r}")
        known = {key: body[key] for key in _FIELDS[cls] if key in body}
        for key, nested in _NESTED.items():
            if key in known:
                known[key] = tuple(nested(*item) for item in known[key])
        known |= {key: tuple(known[key]) for key in _TEXTS if key in known}
        pixel = known.get("pixel_data")
        if pixel is not None:
            tag, vr, offset, length, fragments = pixel
            known["pixel_data"] = PixelData(tag, vr, offset, length, None if fragments is None else tuple(fragments))
        return cls(**known)
    except UndecodableEvent:
        raise
    except Exception as error:
        raise UndecodableEvent(f"not an event: {type(error).__name__}") from error
