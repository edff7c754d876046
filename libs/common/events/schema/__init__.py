"""The facts. Every event carries its partition (the organisation it belongs to) and the trace it belongs to.

A field may be added with a default; nothing is renamed, removed or given another meaning under the same version.
Tags are integers (group << 16 | element), offsets and lengths are bytes, times are microseconds since the epoch, UTC.
"""

from __future__ import annotations

from gantry.common.events.schema.access import (
    SessionsEnded,
    ShareCopied,
    ShareCreated,
    ShareOpened,
    ShareRevoked,
    ShareTried,
)
from gantry.common.events.schema.audit import (
    AuditedInstances,
    AuditRecorded,
)
from gantry.common.events.schema.commitment import (
    CommitmentFailure,
    CommitmentReference,
    CommitmentReported,
    CommitmentRequested,
    InstancesCommittedElsewhere,
)
from gantry.common.events.schema.corrections import (
    PatientCorrected,
    PatientCorrectionsErased,
    PatientCorrectionWithdrawn,
    PatientMerged,
    StudyCorrected,
    StudyCorrectionsErased,
    StudyCorrectionWithdrawn,
)
from gantry.common.events.schema.fields import OMITTED
from gantry.common.events.schema.instances import (
    InstanceConflictFound,
    InstancesDeleted,
    InstancesMoved,
    InstancesMovedBack,
    InstancesRestored,
    InstanceStored,
    NamesakeFound,
    ObjectLost,
    ObjectsCollected,
    ObjectsRelocated,
    ReceiptReference,
)
from gantry.common.events.schema.messages import (
    MessageAnswered,
    MessageDiscarded,
    MessageQuarantined,
)
from gantry.common.events.schema.operations import (
    AssociationEnded,
    AssociationRefused,
    DeadLetter,
    DeadLetterDiscarded,
    DeadLetterReplayed,
    ProcessReported,
    RequestAnswers,
    StoreSpace,
    StudyDelivered,
)
from gantry.common.events.schema.orders import (
    OrderCancelled,
    OrderChanged,
    OrderErased,
    OrderPlaced,
    OrderReported,
    StudyLinked,
    StudyUnlinked,
)
from gantry.common.events.schema.peers import PeerRemoved, PeerSet
from gantry.common.events.schema.routes import (
    RouteDelayed,
    RouteEnded,
    RouteProgressed,
    RouteRequested,
)
from gantry.common.events.schema.steps import (
    ProcedureStepCreated,
    ProcedureStepErased,
    ProcedureStepSet,
)
from gantry.common.events.schema.studies import (
    HoldPlaced,
    HoldReleased,
    PatientHoldPlaced,
    PatientHoldReleased,
    StudyAccessed,
    StudyCompleted,
)
from gantry.common.events.schema.subscriptions import (
    NotifierBegan,
    SubscribedStudyNoted,
    SubscriberNotified,
    SubscriptionCreated,
    SubscriptionDeleted,
    SubscriptionEventsCounted,
    SubscriptionStatusChanged,
)
from gantry.common.events.schema.workitems import (
    WorkitemCancelRequested,
    WorkitemCreated,
    WorkitemErased,
    WorkitemSet,
    WorkitemStateRequested,
    WorkitemSubscribed,
    WorkitemSubscriptionSuspended,
    WorkitemUnsubscribed,
)

__all__ = [
    "OMITTED",
    "AssociationEnded",
    "AssociationRefused",
    "AuditRecorded",
    "AuditedInstances",
    "CommitmentFailure",
    "CommitmentReference",
    "CommitmentReported",
    "CommitmentRequested",
    "DeadLetter",
    "DeadLetterDiscarded",
    "DeadLetterReplayed",
    "Event",
    "HoldPlaced",
    "HoldReleased",
    "InstanceConflictFound",
    "InstanceStored",
    "InstancesCommittedElsewhere",
    "InstancesDeleted",
    "InstancesMoved",
    "InstancesMovedBack",
    "InstancesRestored",
    "MessageAnswered",
    "MessageDiscarded",
    "MessageQuarantined",
    "NamesakeFound",
    "NotifierBegan",
    "ObjectLost",
    "ObjectsCollected",
    "ObjectsRelocated",
    "OrderCancelled",
    "OrderChanged",
    "OrderErased",
    "OrderPlaced",
    "OrderReported",
    "PatientCorrected",
    "PatientCorrectionWithdrawn",
    "PatientCorrectionsErased",
    "PatientHoldPlaced",
    "PatientHoldReleased",
    "PatientMerged",
    "PeerRemoved",
    "PeerSet",
    "ProcedureStepCreated",
    "ProcedureStepErased",
    "ProcedureStepSet",
    "ProcessReported",
    "ReceiptReference",
    "RequestAnswers",
    "RouteDelayed",
    "RouteEnded",
    "RouteProgressed",
    "RouteRequested",
    "SessionsEnded",
    "ShareCopied",
    "ShareCreated",
    "ShareOpened",
    "ShareRevoked",
    "ShareTried",
    "StoreSpace",
    "StudyAccessed",
    "StudyCompleted",
    "StudyCorrected",
    "StudyCorrectionWithdrawn",
    "StudyCorrectionsErased",
    "StudyDelivered",
    "StudyLinked",
    "StudyUnlinked",
    "SubscribedStudyNoted",
    "SubscriberNotified",
    "SubscriptionCreated",
    "SubscriptionDeleted",
    "SubscriptionEventsCounted",
    "SubscriptionStatusChanged",
    "WorkitemCancelRequested",
    "WorkitemCreated",
    "WorkitemErased",
    "WorkitemSet",
    "WorkitemStateRequested",
    "WorkitemSubscribed",
    "WorkitemSubscriptionSuspended",
    "WorkitemUnsubscribed",
]

Event = (
    InstanceStored
    | ObjectLost
    | InstanceConflictFound
    | NamesakeFound
    | InstancesDeleted
    | InstancesRestored
    | InstancesMoved
    | InstancesMovedBack
    | ObjectsCollected
    | ObjectsRelocated
    | HoldPlaced
    | HoldReleased
    | StudyCorrected
    | StudyCorrectionWithdrawn
    | StudyCorrectionsErased
    | PatientCorrected
    | PatientMerged
    | PatientCorrectionWithdrawn
    | PatientCorrectionsErased
    | PatientHoldPlaced
    | PatientHoldReleased
    | StudyAccessed
    | StudyCompleted
    | RouteRequested
    | RouteProgressed
    | RouteDelayed
    | RouteEnded
    | CommitmentRequested
    | CommitmentReported
    | InstancesCommittedElsewhere
    | DeadLetter
    | DeadLetterReplayed
    | DeadLetterDiscarded
    | AssociationEnded
    | AssociationRefused
    | MessageAnswered
    | MessageQuarantined
    | MessageDiscarded
    | StudyDelivered
    | ProcessReported
    | OrderPlaced
    | OrderChanged
    | OrderCancelled
    | OrderErased
    | OrderReported
    | StudyLinked
    | StudyUnlinked
    | ProcedureStepCreated
    | ProcedureStepSet
    | ProcedureStepErased
    | WorkitemCreated
    | WorkitemSet
    | WorkitemStateRequested
    | WorkitemCancelRequested
    | WorkitemErased
    | WorkitemSubscribed
    | WorkitemUnsubscribed
    | WorkitemSubscriptionSuspended
    | ShareCreated
    | ShareCopied
    | NotifierBegan
    | SubscribedStudyNoted
    | SubscriberNotified
    | SubscriptionCreated
    | SubscriptionDeleted
    | SubscriptionEventsCounted
    | SubscriptionStatusChanged
    | ShareTried
    | ShareOpened
    | ShareRevoked
    | SessionsEnded
    | PeerSet
    | PeerRemoved
    | AuditRecorded
)
