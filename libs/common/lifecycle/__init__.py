"""What became of the receipts of a study: the pure fold of its events, state × event → state; and how long it is kept.

What belongs here: states as frozen values, how an event changes one, and what follows from a state (hidden, current,
due for collection; who the patient is, and what was corrected or coerced). What does not: stores, clocks, settings;
time and grace are arguments.

Every event only adds to what is known, so that the order, the number and the repetition of events do not matter
(a join semilattice): a replay, a restore from the bucket and a late delivery end where the log's own order does. A
deletion names receipts and has a name of its own, and it is that name that a restoration withdraws: so deleting,
restoring and deleting again needs no clock to be told apart.
"""

from gantry.common.lifecycle.coercion import Coercion, unpack_coercion
from gantry.common.lifecycle.corrections import NOTHING, Correction, Corrections, Values, Withdrawal
from gantry.common.lifecycle.deletion_state import ALIVE, Deletion, DeletionState
from gantry.common.lifecycle.held_patients import held_patient, holder_of, holders, holds_stand, patient_of
from gantry.common.lifecycle.moves import moved_back, successor, successors
from gantry.common.lifecycle.patients import (
    CorrectionEffect,
    Unknown,
    corrected,
    corrections_below,
    effect_of,
    identity_of,
    patient_key,
    unpack_applied,
)
from gantry.common.lifecycle.places import HOT, NEVER_MOVED, Place
from gantry.common.lifecycle.rejecting import (
    DELETED,
    RejectionPolicy,
    SentAgain,
    is_waiting,
    repeats,
    subsequent,
    waiting_receipt,
)
from gantry.common.lifecycle.retention import (
    Period,
    Retention,
    RetentionRule,
    Since,
    StudyFacts,
    committers,
    longest,
    retention_of,
)
from gantry.common.lifecycle.retention_rules import retention_rules
from gantry.common.lifecycle.study import (
    DecidingEvent,
    ReceiptState,
    StoredObject,
    StudyState,
    apply,
    deletion_state_of,
    fold,
)
from gantry.common.lifecycle.tier_rules import tier_rules
from gantry.common.lifecycle.tiers import Tier, TierRule, tier_of

__all__ = [
    "ALIVE",
    "DELETED",
    "HOT",
    "NEVER_MOVED",
    "NOTHING",
    "Coercion",
    "Correction",
    "CorrectionEffect",
    "Corrections",
    "DecidingEvent",
    "Deletion",
    "DeletionState",
    "Period",
    "Place",
    "ReceiptState",
    "RejectionPolicy",
    "Retention",
    "RetentionRule",
    "SentAgain",
    "Since",
    "StoredObject",
    "StudyFacts",
    "StudyState",
    "Tier",
    "TierRule",
    "Unknown",
    "Values",
    "Withdrawal",
    "apply",
    "committers",
    "corrected",
    "corrections_below",
    "deletion_state_of",
    "effect_of",
    "fold",
    "held_patient",
    "holder_of",
    "holders",
    "holds_stand",
    "identity_of",
    "is_waiting",
    "longest",
    "moved_back",
    "patient_key",
    "patient_of",
    "repeats",
    "retention_of",
    "retention_rules",
    "subsequent",
    "successor",
    "successors",
    "tier_of",
    "tier_rules",
    "unpack_applied",
    "unpack_coercion",
    "waiting_receipt",
]
