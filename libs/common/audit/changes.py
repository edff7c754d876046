"""Which events of the log are on record, and as what: every change is an event, whoever makes it."""

from __future__ import annotations

import json
from dataclasses import replace

from gantry.common.audit.coalescing import AuditEntry
from gantry.common.audit.kinds import FAILURE, PEER, SERIOUS_FAILURE, SUCCESS, AuditKind
from gantry.common.config.peer_entries import changed_fields
from gantry.common.dicom.encoding.values import header_values
from gantry.common.dicom.encoding.values import text_of as text_in
from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.events import (
    AuditedInstances,
    Event,
    HoldPlaced,
    HoldReleased,
    InstancesCommittedElsewhere,
    InstancesDeleted,
    InstancesMoved,
    InstancesMovedBack,
    InstancesRestored,
    InstanceStored,
    ObjectsCollected,
    OrderCancelled,
    OrderChanged,
    OrderErased,
    OrderPlaced,
    OrderReported,
    PatientCorrected,
    PatientCorrectionWithdrawn,
    PatientHoldPlaced,
    PatientHoldReleased,
    PatientMerged,
    PeerRemoved,
    PeerSet,
    ProcedureStepCreated,
    ProcedureStepErased,
    ProcedureStepSet,
    ShareCreated,
    ShareRevoked,
    StudyCorrected,
    StudyCorrectionWithdrawn,
    SubscriptionCreated,
    SubscriptionDeleted,
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
from gantry.common.ids import is_reference_key

LOOPBACK = "loopback"
"""The name of a caller on this machine without a token."""
ARCHIVE = "archive"
_RULE = "retention rule "
_LINK = "share link "
_OF_STUDIES: dict[type[Event], tuple[AuditKind, str]] = {
    InstancesDeleted: (AuditKind.INSTANCES_DELETED, "delete"),
    InstancesRestored: (AuditKind.UPDATED, "restore"),
    InstancesMoved: (AuditKind.UPDATED, "move"),
    InstancesMovedBack: (AuditKind.UPDATED, "move back"),
    StudyCorrected: (AuditKind.UPDATED, "correct"),
    StudyCorrectionWithdrawn: (AuditKind.UPDATED, "withdraw correction"),
    HoldPlaced: (AuditKind.PROTECTION, "place hold"),
    HoldReleased: (AuditKind.PROTECTION, "release hold"),
}
_OF_PATIENTS: dict[type[Event], tuple[AuditKind, str]] = {
    PatientCorrected: (AuditKind.PATIENT, "correct patient"),
    PatientMerged: (AuditKind.PATIENT, "merge patient"),
    PatientCorrectionWithdrawn: (AuditKind.PATIENT, "withdraw correction or merge"),
    PatientHoldPlaced: (AuditKind.PROTECTION, "place hold on patient"),
    PatientHoldReleased: (AuditKind.PROTECTION, "release hold on patient"),
}
_OF_ORDERS: dict[type[Event], tuple[AuditKind, str]] = {
    OrderPlaced: (AuditKind.ORDER, "place order"),
    OrderChanged: (AuditKind.ORDER, "change order"),
    OrderCancelled: (AuditKind.ORDER, "cancel order"),
    OrderReported: (AuditKind.ORDER, "take report"),
    OrderErased: (AuditKind.ORDER, "erase order"),
    ProcedureStepCreated: (AuditKind.PROCEDURE, "N-CREATE"),
    ProcedureStepSet: (AuditKind.PROCEDURE, "N-SET"),
    ProcedureStepErased: (AuditKind.PROCEDURE, "erase procedure step"),
    WorkitemCreated: (AuditKind.PROCEDURE, "create workitem"),
    WorkitemSet: (AuditKind.PROCEDURE, "set workitem"),
    WorkitemStateRequested: (AuditKind.PROCEDURE, "change workitem state"),
    WorkitemCancelRequested: (AuditKind.PROCEDURE, "request workitem cancellation"),
    WorkitemErased: (AuditKind.PROCEDURE, "erase workitem"),
    WorkitemSubscribed: (AuditKind.PROCEDURE, "subscribe to workitems"),
    WorkitemUnsubscribed: (AuditKind.PROCEDURE, "unsubscribe from workitems"),
    WorkitemSubscriptionSuspended: (AuditKind.PROCEDURE, "suspend subscription to workitems"),
}
_OF_SHARES: dict[type[Event], str] = {ShareCreated: "make share link", ShareRevoked: "revoke share link"}
_OF_SUBSCRIPTIONS: dict[type[Event], str] = {
    SubscriptionCreated: "make subscription",
    SubscriptionStatusChanged: "change subscription",
    SubscriptionDeleted: "remove subscription",
}
_OF_PEERS = (PeerSet, PeerRemoved)
_OF_OBJECTS = (InstanceStored, ObjectsCollected, InstancesCommittedElsewhere)
_OF_THE_ARCHIVE = (*_OF_SHARES, *_OF_SUBSCRIPTIONS, *_OF_PEERS)
CHANGES = frozenset((*_OF_OBJECTS, *_OF_STUDIES, *_OF_PATIENTS, *_OF_ORDERS, *_OF_THE_ARCHIVE))
"""The events that are on record."""


def entry_of(event: Event) -> AuditEntry | None:
    """The entry of an event; None for one that is nobody's access or change."""
    if isinstance(event, InstanceStored):
        return _stored(event)
    if isinstance(event, ObjectsCollected):
        gone = _instances(event.study_instance_uid, event.receipts)
        return AuditEntry(
            AuditKind.INSTANCES_DELETED, "remove objects", ARCHIVE, ARCHIVE, trace=event.trace, objects=(gone,)
        )
    if isinstance(event, InstancesCommittedElsewhere):
        return _committed(event)
    cls = type(event)
    if cls in _OF_ORDERS:
        return _of_order(event, *_OF_ORDERS[cls])
    if isinstance(event, ShareCreated | ShareRevoked):
        return _of_share(event)
    if isinstance(event, SubscriptionCreated | SubscriptionStatusChanged | SubscriptionDeleted):
        return _of_subscription(event)
    if isinstance(event, PeerSet | PeerRemoved):
        return _of_peer(event)
    known = _OF_STUDIES.get(cls) or _OF_PATIENTS.get(cls)
    return None if known is None else _changed(event, *known)


def patient_in(event: InstanceStored) -> tuple[str, str]:
    """Patient ID and issuer, as the header of the object says them; "" where it does not."""
    if not event.header:
        return "", ""
    values = header_values(event.header, event.transfer_syntax_uid, (PATIENT_ID, ISSUER_OF_PATIENT_ID), partial=True)
    patient, issuer = (
        next((text_in(value) for value in values.get(tag, []) if value), "")
        for tag in (PATIENT_ID, ISSUER_OF_PATIENT_ID)
    )
    return patient, issuer


def _stored(event: InstanceStored) -> AuditEntry:
    # Over HTTP the name of the token takes the place of the AE title, and nobody was called.
    over_http = not event.called_ae_title
    operation = "STOW-RS" if over_http else "C-STORE"
    if is_reference_key(event.object_key):
        operation = "import in place"
    row = AuditedInstances(event.study_instance_uid, sop_class_uid=event.sop_class_uid, instances=1)
    return AuditEntry(
        AuditKind.STORED,
        operation,
        event.calling_ae_title,
        requestor_kind(event.calling_ae_title) if over_http else "ae",
        event.peer_address,
        event.called_ae_title,
        trace=event.trace,
        session="" if over_http else event.trace,
        objects=(row,),
    )


def _committed(event: InstancesCommittedElsewhere) -> AuditEntry:
    """Who took responsibility: what it committed may be deleted here."""
    failed = len(event.failures)
    return AuditEntry(
        AuditKind.UPDATED,
        "storage commitment",
        event.ae_title,
        "ae",
        outcome=SERIOUS_FAILURE if failed else SUCCESS,
        why=f"{failed} instances are not committed" if failed else "",
        trace=event.trace,
        objects=(AuditedInstances(event.study_instance_uid, instances=len(event.committed)),),
    )


def _changed(event: Event, kind: AuditKind, operation: str) -> AuditEntry:
    by, why = getattr(event, "by", ""), getattr(event, "reason", "")
    if isinstance(event, InstancesDeleted):
        operation = "reject" if event.kept else "purge" if event.final else operation
    study = getattr(event, "study_instance_uid", "")
    row = AuditedInstances(study, patient_key=getattr(event, "patient", ""))
    if receipts := getattr(event, "receipts", ()):
        row = _instances(study, receipts)
    rows = [row]
    if isinstance(event, InstancesMoved | InstancesMovedBack):
        rows.append(AuditedInstances(event.into_study, instances=row.instances))
    if isinstance(event, PatientMerged):
        rows.append(AuditedInstances("", patient_key=event.into))
    return AuditEntry(kind, operation, by, requestor_kind(by), why=why, trace=event.trace, objects=tuple(rows))


def _of_order(event: Event, kind: AuditKind, operation: str) -> AuditEntry:
    """`source` says who: "ae TITLE", "rest NAME", "hl7 APPLICATION^FACILITY"."""
    source: str = getattr(event, "source", "")
    way, _, name = source.partition(" ")
    requestor = {"ae": "ae", "rest": requestor_kind(name)}.get(way, way)
    about = getattr(event, "order", "") or getattr(event, "sop_instance_uid", "")
    why = event.reason if isinstance(event, OrderErased | ProcedureStepErased | WorkitemErased) else ""
    query = about.encode()
    return AuditEntry(
        kind, operation, name or source, requestor, why=why, trace=event.trace, query=query, query_class=kind.word
    )


def _of_share(event: ShareCreated | ShareRevoked) -> AuditEntry:
    """The link by its name, so that the records of what was read by it are found."""
    studies = (event.copies_of or event.studies) if isinstance(event, ShareCreated) else ()
    operation = f"{_OF_SHARES[type(event)]} {event.share}"
    rows = tuple(map(AuditedInstances, studies))
    by, profile = event.by, event.deidentified_by if isinstance(event, ShareCreated) else ""
    entry = AuditEntry(
        AuditKind.PROTECTION, operation, by, requestor_kind(by), why=event.reason, trace=event.trace, objects=rows
    )
    return replace(entry, deidentified_by=profile)


def _of_subscription(
    event: SubscriptionCreated | SubscriptionStatusChanged | SubscriptionDeleted,
) -> AuditEntry:
    """The subscription by its name, and where it leads to."""
    operation = f"{_OF_SUBSCRIPTIONS[type(event)]} {event.subscription}"
    why = ""
    if isinstance(event, SubscriptionStatusChanged):
        operation = f"{operation} to {event.status}"
        why = event.reason
    host = event.host if isinstance(event, SubscriptionCreated) else ""
    requestor = requestor_kind(event.by) if event.by else ARCHIVE
    receiver = (event.by, host) if host else ("", "")
    return AuditEntry(
        AuditKind.PROTECTION, operation, event.by or ARCHIVE, requestor, "", *receiver, why=why, trace=event.trace
    )


def _of_peer(event: PeerSet | PeerRemoved) -> AuditEntry:
    """The peer by its AE title, with each field that differs as it was and as it is."""
    after = event.entry if isinstance(event, PeerSet) else ""
    operation = f"{'remove' if not after else 'change' if event.before else 'add'} peer {event.ae_title}"
    fields = json.dumps(changed_fields(event.before, after), ensure_ascii=False).encode()
    requestor = event.by, requestor_kind(event.by)
    return AuditEntry(
        AuditKind.POLICY, operation, *requestor, why=event.reason, trace=event.trace, query=fields, query_class=PEER
    )


def overtaken(event: PeerSet | PeerRemoved) -> AuditEntry:
    """The entry of a change that came to nothing: it is on record as an event, and so is this."""
    return replace(_of_peer(event), outcome=FAILURE, why="not taken: another change came first, or there are too many")


def _instances(study: str, receipts: object) -> AuditedInstances:
    uids = {receipt.sop_instance_uid for receipt in receipts}  # type: ignore[attr-defined]  # of any event with receipts
    return AuditedInstances(study, instances=len(uids))


def requestor_kind(name: str) -> str:
    """What a name of a caller is: that of a token, of this machine, of a link, or of a rule of the archive."""
    if name.startswith(_RULE):
        return ARCHIVE
    if name.startswith(_LINK):
        return "share link"
    return "this machine" if name == LOOPBACK else "token" if name else ""
