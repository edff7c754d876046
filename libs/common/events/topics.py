"""The table of topics: which event goes where, under which key, how it is kept."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.common.events.schema import (
    AssociationEnded,
    AssociationRefused,
    AuditRecorded,
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

_DAY_MS = 24 * 3600 * 1000


INDEXERS = "indexer"
"""The consumer group that makes the instances searchable: how far it is says what an index can know."""

ARCHIVERS = "archiver"
"""The consumer group that seals events into the bucket: what it has committed is in a segment."""


FACTS = "facts"
"""Where segments of what happened lie in the bucket: everything else can be rebuilt from them."""

AUDIT = "audit"
"""Where segments of audit records lie: nothing is rebuilt from them, and they name patients. They have a place of their
own, so that the bucket's rules can keep and remove them by themselves."""


@dataclass(frozen=True, slots=True)
class Topic:
    """`key` names the event field that orders events; `retention_ms` None keeps them for ever. What is not `sealed` is
    gone then: nothing that happened to a study is on such a topic. Segments lie under `root` in the bucket."""

    name: str
    key: str
    partitions: int
    retention_ms: int | None
    sealed: bool = True
    root: str = FACTS


_INSTANCES = Topic("instances", "study_instance_uid", 24, 7 * _DAY_MS)
_PATIENTS = Topic("patients", "patient", 6, None)
_CONFLICTS = Topic("conflicts", "study_instance_uid", 6, None)
_COMMITMENT = Topic("commitment", "transaction_uid", 6, None)
_ORDERS = Topic("orders", "order", 6, None)
_STEPS = Topic("procedure-steps", "sop_instance_uid", 6, None)
_WORKITEMS = Topic("workitems", "sop_instance_uid", 6, None)
# Texts of messages name patients: they are gone with the topic, and every sender knows of its own what became of them.
_MESSAGES = Topic("messages", "source", 6, 30 * _DAY_MS, sealed=False)
_DEAD_LETTERS = Topic("dead-letters", "group", 1, 30 * _DAY_MS)
_ROUTES = Topic("routes", "study_instance_uid", 12, 30 * _DAY_MS, sealed=False)
_ASSOCIATIONS = Topic("associations", "calling_ae_title", 6, 14 * _DAY_MS, sealed=False)
_PROCESSES = Topic("processes", "process", 1, _DAY_MS, sealed=False)
_SHARES = Topic("shares", "share", 1, None)
_SUBSCRIPTIONS = Topic("subscriptions", "subscription", 1, None)
# What was told a month ago is asked for by nobody; numbers are counted on (`SubscriptionEventsCounted`).
_NOTIFICATIONS = Topic("notifications", "subscription", 1, 30 * _DAY_MS, sealed=False)
_PEERS = Topic("peers", "ae_title", 1, None)
# Longer than any session lasts (`login.longest`).
_SESSIONS = Topic("sessions", "issuer", 1, 30 * _DAY_MS, sealed=False)
_AUDIT = Topic("audit", "requestor", 6, 30 * _DAY_MS, root=AUDIT)

TOPICS: dict[type[Event], Topic] = {
    InstanceStored: _INSTANCES,
    ObjectLost: _INSTANCES,
    InstancesDeleted: _INSTANCES,
    InstancesRestored: _INSTANCES,
    InstancesMoved: _INSTANCES,
    InstancesMovedBack: _INSTANCES,
    ObjectsCollected: _INSTANCES,
    ObjectsRelocated: _INSTANCES,
    HoldPlaced: _INSTANCES,
    HoldReleased: _INSTANCES,
    StudyCorrected: _INSTANCES,
    StudyCorrectionWithdrawn: _INSTANCES,
    StudyCorrectionsErased: _INSTANCES,
    PatientCorrected: _PATIENTS,
    PatientMerged: _PATIENTS,
    PatientCorrectionWithdrawn: _PATIENTS,
    PatientCorrectionsErased: _PATIENTS,
    PatientHoldPlaced: _PATIENTS,
    PatientHoldReleased: _PATIENTS,
    StudyAccessed: _INSTANCES,
    StudyCompleted: _INSTANCES,
    RouteRequested: _ROUTES,
    RouteProgressed: _ROUTES,
    RouteDelayed: _ROUTES,
    RouteEnded: _ROUTES,
    InstanceConflictFound: _CONFLICTS,
    NamesakeFound: _CONFLICTS,
    CommitmentRequested: _COMMITMENT,
    CommitmentReported: _COMMITMENT,
    InstancesCommittedElsewhere: _COMMITMENT,
    DeadLetter: _DEAD_LETTERS,
    DeadLetterReplayed: _DEAD_LETTERS,
    DeadLetterDiscarded: _DEAD_LETTERS,
    AssociationEnded: _ASSOCIATIONS,
    AssociationRefused: _ASSOCIATIONS,
    StudyDelivered: _ASSOCIATIONS,
    MessageAnswered: _MESSAGES,
    MessageQuarantined: _MESSAGES,
    MessageDiscarded: _MESSAGES,
    ProcessReported: _PROCESSES,
    OrderPlaced: _ORDERS,
    OrderChanged: _ORDERS,
    OrderCancelled: _ORDERS,
    OrderReported: _ORDERS,
    OrderErased: _ORDERS,
    StudyLinked: _ORDERS,
    StudyUnlinked: _ORDERS,
    ProcedureStepCreated: _STEPS,
    ProcedureStepSet: _STEPS,
    ProcedureStepErased: _STEPS,
    ShareCopied: _SHARES,
    SubscriptionCreated: _SUBSCRIPTIONS,
    SubscriptionStatusChanged: _SUBSCRIPTIONS,
    SubscriptionDeleted: _SUBSCRIPTIONS,
    SubscribedStudyNoted: _NOTIFICATIONS,
    SubscriberNotified: _NOTIFICATIONS,
    SubscriptionEventsCounted: _NOTIFICATIONS,
    NotifierBegan: _NOTIFICATIONS,
    WorkitemCreated: _WORKITEMS,
    WorkitemSet: _WORKITEMS,
    WorkitemStateRequested: _WORKITEMS,
    WorkitemCancelRequested: _WORKITEMS,
    WorkitemErased: _WORKITEMS,
    WorkitemSubscribed: _WORKITEMS,
    WorkitemUnsubscribed: _WORKITEMS,
    WorkitemSubscriptionSuspended: _WORKITEMS,
    ShareCreated: _SHARES,
    ShareTried: _SHARES,
    ShareOpened: _SHARES,
    ShareRevoked: _SHARES,
    SessionsEnded: _SESSIONS,
    PeerSet: _PEERS,
    PeerRemoved: _PEERS,
    AuditRecorded: _AUDIT,
}


INDEXED = (_INSTANCES.name, _PATIENTS.name)
"""The topics that the indexers read."""


def topic_of(event: Event) -> tuple[Topic, str]:
    """The topic an event belongs to and the key that orders it there."""
    topic = TOPICS[type(event)]
    return topic, getattr(event, topic.key)
