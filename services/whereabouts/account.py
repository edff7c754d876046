"""What is known of a study, as values. Pure. Times are microseconds since the epoch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from gantry.common.events import (
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
    ObjectLost,
    ObjectsCollected,
    ObjectsRelocated,
    StudyDelivered,
)
from gantry.common.telemetry.traces import trace_id
from gantry.services.whereabouts.onward import Onward


@dataclass(frozen=True, slots=True)
class ArrivalAccount:
    """Instances that came over one association or request (`trace`, 32 digits). Address and called AE title are ""
    where the log and the segments no longer tell; so is the AE title for what came over HTTP. `outcome` is the
    association's, "" where it is not recorded."""

    calling_ae_title: str
    called_ae_title: str
    peer_address: str
    first_at: int
    last_at: int
    instances: int
    trace: str
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class CommitmentAccount:
    """A storage commitment transaction that names instances of the study. `reported_at` is 0 while the report is owed;
    `delivered` is whether its requester accepted it."""

    transaction_uid: str
    calling_ae_title: str
    requested_at: int
    instances: int
    reported_at: int = 0
    delivered: bool = False
    failed: int = 0


@dataclass(frozen=True, slots=True)
class CommitmentElsewhere:
    """What another archive that the study was sent to reported on storage commitment of it."""

    ae_title: str
    transaction_uid: str
    reported_at: int
    committed: int
    failed: int


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that was decided or found: `what` in a word or two, by whom, why, about how many objects."""

    at: int
    what: str
    objects: int
    by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class DeadInstance:
    """An instance that could not be made searchable: the dead letter, and the reason."""

    letter: str
    sop_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class Account:
    """A study. `searchable` instances are found and retrieved, `unread` receipts are stored and the indexers have not
    come to them yet; `aside`, `lost`, `deleted`, `rejected` and `collected` count receipts. `holds` stand."""

    study_instance_uid: str
    searchable: int = 0
    unread: int = 0
    aside: int = 0
    lost: int = 0
    deleted: int = 0
    restorable: int = 0
    """Of those deleted."""
    rejected: int = 0
    collected: int = 0
    holds: tuple[str, ...] = ()
    arrivals: tuple[ArrivalAccount, ...] = ()
    commitments: tuple[CommitmentAccount, ...] = ()
    elsewhere: tuple[CommitmentElsewhere, ...] = ()
    happened: tuple[Occurrence, ...] = ()
    deliveries: tuple[StudyDelivered, ...] = ()
    dead: tuple[DeadInstance, ...] = ()
    onward: tuple[Onward, ...] = ()


def arrivals_of(stored: Iterable[InstanceStored], outcomes: Mapping[str, str]) -> tuple[ArrivalAccount, ...]:
    """What came, by trace, in order of time; `outcomes` are those of associations, by trace."""
    by_trace: dict[tuple[str, str, str, str], list[InstanceStored]] = {}
    for event in {event.receipt: event for event in stored}.values():
        key = trace_id(event.trace), event.calling_ae_title, event.called_ae_title, event.peer_address
        by_trace.setdefault(key, []).append(event)
    arrivals = [
        ArrivalAccount(
            calling,
            called,
            address,
            min(event.stored_at for event in events),
            max(event.stored_at for event in events),
            len(events),
            trace,
            outcomes.get(trace, ""),
        )
        for (trace, calling, called, address), events in by_trace.items()
    ]
    return tuple(sorted(arrivals, key=lambda arrival: arrival.first_at))


@dataclass(slots=True)
class Commitments:
    """The transactions that name instances of a study; reports come after their requests."""

    instances: Collection[str]
    found: dict[str, CommitmentAccount] = field(default_factory=dict)
    elsewhere: dict[str, CommitmentElsewhere] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Take in an event of the topic."""
        if isinstance(event, CommitmentRequested):
            named = {reference.sop_instance_uid for reference in event.references} & set(self.instances)
            if named:
                self.found[event.transaction_uid] = CommitmentAccount(
                    event.transaction_uid, event.calling_ae_title, event.requested_at, len(named)
                )
        elif isinstance(event, InstancesCommittedElsewhere):
            committed = {reference.sop_instance_uid for reference in event.committed} & set(self.instances)
            failed = {failure.sop_instance_uid for failure in event.failures} & set(self.instances)
            if committed or failed:
                self.elsewhere[event.transaction_uid] = CommitmentElsewhere(
                    event.ae_title, event.transaction_uid, event.reported_at, len(committed), len(failed)
                )
        elif isinstance(event, CommitmentReported) and (known := self.found.get(event.transaction_uid)):
            failed = {failure.sop_instance_uid for failure in event.failures} & set(self.instances)
            self.found[event.transaction_uid] = CommitmentAccount(
                known.transaction_uid,
                known.calling_ae_title,
                known.requested_at,
                known.instances,
                event.reported_at,
                event.delivered,
                len(failed),
            )


def happened_of(events: Iterable[Event]) -> tuple[Occurrence, ...]:
    """What was decided about a study and found out, each once, in order of time."""
    return tuple(
        sorted({entry for event in events if (entry := _happened(event)) is not None}, key=lambda entry: entry.at)
    )


def _happened(event: Event) -> Occurrence | None:
    match event:
        case InstancesDeleted(receipts=receipts, at=at, by=by, reason=reason, kept=is_kept, final=final):
            kind = "rejected" if is_kept else "deleted for good" if final else "deleted"
            return Occurrence(at, kind, len(receipts), by, reason)
        case InstancesRestored(receipts=receipts, at=at, by=by, reason=reason):
            return Occurrence(at, "restored", len(receipts), by, reason)
        case InstancesMoved(receipts=receipts, at=at, by=by, reason=reason, into_study=into):
            return Occurrence(at, f"moved to the study {into}", len(receipts), by, reason)
        case InstancesMovedBack(receipts=receipts, at=at, by=by, reason=reason, into_study=into):
            return Occurrence(at, f"moved back from the study {into}", len(receipts), by, reason)
        case ObjectsCollected(receipts=receipts, at=at):
            return Occurrence(at, "removed from the object store", len(receipts))
        case ObjectsRelocated(receipts=receipts, at=at, store=store):
            return Occurrence(at, f"relocated to the object store {store}", len(receipts))
        case HoldPlaced(at=at, by=by, reason=reason):
            return Occurrence(at, "hold placed", 0, by, reason)
        case HoldReleased(at=at, by=by, reason=reason):
            return Occurrence(at, "hold released", 0, by, reason)
        case ObjectLost(found_at=at, found_by=by, reason=reason):
            return Occurrence(at, "object lost", 1, by, reason)
        case InstanceConflictFound(found_at=at, calling_ae_title=title):
            return Occurrence(at, "sent again with other bytes", 1, title)
    return None
