"""The fold of a study's events: what each receipt is, and what stands in the way of deleting it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce

from gantry.common.events import (
    Event,
    HoldPlaced,
    HoldReleased,
    InstancesDeleted,
    InstancesMoved,
    InstancesMovedBack,
    InstancesRestored,
    InstanceStored,
    ObjectLost,
    ObjectsCollected,
    ObjectsRelocated,
    PatientHoldPlaced,
    PatientHoldReleased,
    ReceiptReference,
    StudyAccessed,
)
from gantry.common.lifecycle.deletion_state import ALIVE, Deletion, DeletionState
from gantry.common.lifecycle.places import NEVER_MOVED, Place

Instance = tuple[str, str]
"""Series Instance UID and SOP Instance UID, within the study (docs/decisions/0018-one-uid-in-two-series.md)."""


@dataclass(frozen=True, slots=True, order=True)
class StoredObject:
    """What `InstanceStored` says of a receipt's object, as far as receipts are told apart by it."""

    digest: str
    transfer_syntax_uid: str
    object_key: str


@dataclass(frozen=True, slots=True)
class ReceiptState:
    """One receipt. `stored` is None where nothing was heard of it yet but what became of it; `place` is the object
    store that its object lies in."""

    instance: Instance
    stored: StoredObject | None = None
    lost: bool = False
    deletion_state: DeletionState = ALIVE
    place: Place = NEVER_MOVED

    @property
    def is_present(self) -> bool:
        """Whether it counts: stored and not hidden. A receipt that is lost counts: its metadata are there."""
        return self.stored is not None and not self.deletion_state.hidden


@dataclass(frozen=True, slots=True)
class StudyState:
    """Everything that is known of a study's receipts, the holds placed and released, and its last access (microseconds;
    0 for none). Of a patient there are holds alone."""

    receipts: Mapping[str, ReceiptState] = field(default_factory=dict)
    placed: frozenset[str] = frozenset()
    released: frozenset[str] = frozenset()
    accessed: int = 0

    @property
    def holds(self) -> frozenset[str]:
        """Those that stand. A hold that was released is placed again under another name."""
        return self.placed - self.released

    def of(self, instance: Instance) -> dict[str, ReceiptState]:
        """The receipts of an instance that count, the earliest first."""
        receipts = {
            key: receipt
            for key, receipt in self.receipts.items()
            if receipt.instance == instance and receipt.is_present
        }
        return dict(sorted(receipts.items()))

    def current(self, instance: Instance) -> str | None:
        """The receipt that answers for an instance: the earliest that counts."""
        return next(iter(self.of(instance)), None)

    def read_from(self, instance: Instance) -> str | None:
        """The receipt whose object is read: the earliest of the current bytes that is not lost, else the current."""
        receipts = self.of(instance)
        current = next(iter(receipts), None)
        if current is None:
            return None
        same = [key for key, receipt in receipts.items() if _bytes(receipt) == _bytes(receipts[current])]
        return next((key for key in same if not receipts[key].lost), current)

    def aside(self, instance: Instance) -> list[str]:
        """The receipts that count and have other bytes than the current one: the conflict."""
        receipts = self.of(instance)
        return [key for key, receipt in receipts.items() if _bytes(receipt) != _bytes(next(iter(receipts.values())))]

    @property
    def instances(self) -> set[Instance]:
        """The instances that are there."""
        return {receipt.instance for receipt in self.receipts.values() if receipt.is_present}

    def due(self, now: int, grace: int) -> list[str]:
        """The receipts whose objects may be collected; none while a hold stands. Microseconds."""
        return (
            []
            if self.holds
            else sorted(k for k, receipt in self.receipts.items() if receipt.deletion_state.is_due(now, grace))
        )


def _bytes(receipt: ReceiptState) -> tuple[str, str]:
    return ("", "") if receipt.stored is None else (receipt.stored.digest, receipt.stored.transfer_syntax_uid)


def fold(events: Iterable[Event], state: StudyState = StudyState()) -> StudyState:
    """The state after the events of one study or patient. Those that say nothing of receipts, holds or accesses change
    nothing: a conflict follows from what is stored."""
    return reduce(apply, events, state)


def apply(state: StudyState, event: Event) -> StudyState:
    """The state after one more event of the study."""
    match event:
        case InstanceStored():
            return _stored(state, event)
        case ObjectLost():
            instance = event.series_instance_uid, event.sop_instance_uid
            return _with_receipt(state, event.receipt, replace(_known(state, event.receipt, instance), lost=True))
        case InstancesDeleted() | InstancesRestored() | InstancesMoved() | InstancesMovedBack() | ObjectsCollected():
            return _with_decision(state, event.receipts, deletion_state_of(event))
        case ObjectsRelocated():
            return _relocated(state, event)
        case HoldPlaced() | PatientHoldPlaced():
            return replace(state, placed=state.placed | {event.hold})
        case HoldReleased() | PatientHoldReleased():
            return replace(state, released=state.released | {event.hold})
        case StudyAccessed():
            return replace(state, accessed=max(state.accessed, event.at))
    return state


DecidingEvent = InstancesDeleted | InstancesRestored | InstancesMoved | InstancesMovedBack | ObjectsCollected
"""Events that decide about the receipts that they name."""


def deletion_state_of(event: DecidingEvent) -> DeletionState:
    """What an event adds to the deletion state of each receipt that it names."""
    match event:
        case InstancesMoved():
            return DeletionState(deletions=frozenset([Deletion(event.move, event.at, kept=True, moved=True)]))
        case InstancesMovedBack():
            return DeletionState(withdrawn=frozenset([event.move]))
        case InstancesDeleted():
            return DeletionState(
                deletions=frozenset([Deletion(event.deletion, event.at, event.final, event.kept, code=event.code)])
            )
        case InstancesRestored():
            return DeletionState(withdrawn=frozenset(event.deletions))
        case ObjectsCollected():
            return DeletionState(collected=True)


def _stored(state: StudyState, event: InstanceStored) -> StudyState:
    known = _known(state, event.receipt, (event.series_instance_uid, event.sop_instance_uid))
    stored_object = StoredObject(event.digest, event.transfer_syntax_uid, event.object_key)
    # A receipt is of one object. Whoever says otherwise must not make the order of events matter.
    return _with_receipt(
        state,
        event.receipt,
        replace(known, stored=stored_object if known.stored is None else min(stored_object, known.stored)),
    )


def _with_decision(
    state: StudyState, references: Iterable[ReceiptReference], deletion_state: DeletionState
) -> StudyState:
    receipts = dict(state.receipts)
    for reference in references:
        known = _known(state, reference.receipt, (reference.series_instance_uid, reference.sop_instance_uid))
        receipts[reference.receipt] = replace(known, deletion_state=known.deletion_state | deletion_state)
    return replace(state, receipts=receipts)


def _relocated(state: StudyState, event: ObjectsRelocated) -> StudyState:
    receipts, place = dict(state.receipts), Place(event.at, event.store)
    for reference in event.receipts:
        known = _known(
            replace(state, receipts=receipts),
            reference.receipt,
            (reference.series_instance_uid, reference.sop_instance_uid),
        )
        receipts[reference.receipt] = replace(known, place=known.place | place)
    return replace(state, receipts=receipts)


def _known(state: StudyState, receipt: str, instance: Instance) -> ReceiptState:
    known = state.receipts.get(receipt)
    return ReceiptState(instance) if known is None else replace(known, instance=min(instance, known.instance))


def _with_receipt(state: StudyState, receipt: str, receipt_state: ReceiptState) -> StudyState:
    return replace(state, receipts={**state.receipts, receipt: receipt_state})
