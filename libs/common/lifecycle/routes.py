"""Routes: what came of a study is to be sent to a destination. Their names, and what became of each (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from blake3 import blake3

from gantry.common.dicom.query.matching import Query
from gantry.common.events import (
    Event,
    InstancesDeleted,
    InstancesRestored,
    PatientCorrected,
    PatientCorrectionWithdrawn,
    PatientMerged,
    RouteDelayed,
    RouteEnded,
    RouteProgressed,
    RouteRequested,
    StudyCompleted,
    StudyCorrected,
    StudyCorrectionWithdrawn,
)
from gantry.common.ids import Receipt

DELIVERED, FAILED, CANCELLED = "delivered", "failed", "cancelled"
OBJECTS, AVAILABILITY, MOVE, CHANGE = "", "availability", "move", "availability change"
"""What goes to a destination: the objects, only where they are, the objects that a C-MOVE asked for, or what is there
of a study of which something was taken away or came back."""
CORRECTION = "correction"
"""Values of a study were corrected, or that was withdrawn: a receiver of HL7 is told what they are."""
COMMITMENT = "commitment"
"""The destination has the objects, and is asked for storage commitment of them (PS3.4 J)."""
PREFETCH = "prefetch"
"""The other way round: priors for an order are fetched from there."""
STEP_EVENT, STEP = "step event", "step"
"""Of performed procedure steps: that one changed (N-EVENT-REPORT), or what a modality said of it (N-CREATE, N-SET)."""
WORKITEM_EVENT = "workitem event"
"""A subscriber is told of a workitem (PS3.4 CC.2.4)."""
STEP_KINDS = frozenset((STEP_EVENT, STEP, WORKITEM_EVENT))
PATIENT_CORRECTION, PATIENT_MERGE, PATIENT_IDENTIFIER = "patient correction", "patient merge", "patient identifier"
"""A receiver of HL7 is told of a patient: what it is called now, whom it was merged into, which ID it has now."""
PATIENT_KINDS = frozenset((PATIENT_CORRECTION, PATIENT_MERGE, PATIENT_IDENTIFIER))
CorrectionChange = StudyCorrected | StudyCorrectionWithdrawn
PatientChange = PatientCorrected | PatientMerged | PatientCorrectionWithdrawn
READ_US = 1_000_000
"""Within so long what follows on the log is read."""
_MOST_TAKEN = 4_000
"""Instances that one record names."""


@dataclass(frozen=True, slots=True)
class RouteRule:
    """Studies that `query` finds and that one of `sources` sent something of (of all, where there are none) go to the
    destinations `to`; those in `notify` are told of them, and those in `corrected` also of corrections. With `commits`
    the destinations are asked for storage commitment of what they got. With `deidentify`, the name of a profile, they
    get it de-identified."""

    name: str
    query: Query
    sources: frozenset[str]
    to: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    commits: bool = False
    deidentify: str = ""
    corrected: tuple[str, ...] = ()

    def may_apply(self, completed: StudyCompleted) -> bool:
        """Whether the senders of what came are those of the rule."""
        return self.sent_by(completed.senders)

    def sent_by(self, senders: Collection[str]) -> bool:
        """The same of their AE titles."""
        return not self.sources or not self.sources.isdisjoint(senders)


@dataclass(frozen=True, slots=True)
class ChangedInstance:
    """An instance that was taken away, or came back."""

    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


def requests(completed: StudyCompleted, rules: Iterable[RouteRule], now_us: int) -> list[RouteRequested]:
    """The routes of a study by rules that match it, each destination once. Objects are not sent back to who sent them:
    two archives that route to each other would do so for ever."""
    wanted: dict[tuple[str, str], str] = {}
    committing: set[tuple[str, str]] = set()
    profiles: dict[tuple[str, str], str] = {}
    for rule in rules:
        for destination in rule.to:
            if destination not in completed.senders:
                wanted.setdefault((destination, OBJECTS), rule.name)
                committing |= {(destination, OBJECTS)} if rule.commits else set()
                if rule.deidentify:
                    profiles[destination, OBJECTS] = rule.deidentify
        for destination in rule.notify:
            wanted.setdefault((destination, AVAILABILITY), rule.name)
    routes = [
        RouteRequested(
            completed.partition,
            completed.trace,
            completed.study_instance_uid,
            route_of(completed, destination, kind),
            rule_name,
            destination,
            completed.first_receipt,
            completed.last_receipt,
            now_us,
            kind=kind,
            commits=(destination, kind) in committing,
        )
        for (destination, kind), rule_name in wanted.items()
    ]
    return [deidentifying(route, profiles.get((route.destination, route.kind), "")) for route in routes]


def deidentifying(route: RouteRequested, profile: str) -> RouteRequested:
    """The route as one that de-identifies by a profile; as it is where `profile` is ""."""
    if not profile:
        return route
    # An earlier release, which would send the objects as they are, finds nothing to send between these.
    return replace(
        route, deidentify=profile, between=(route.first_receipt, route.last_receipt), first_receipt="", last_receipt=""
    )


def receipts_of(route: RouteRequested) -> tuple[str, str]:
    """The first and the last receipt of what a route is about."""
    first, last = route.between or (route.first_receipt, route.last_receipt)
    return first, last


def commitment_request(
    delivered: RouteRequested, instances: int, now_us: int, withheld: Collection[str] = ()
) -> list[RouteRequested | RouteProgressed]:
    """The route by which a destination is asked for storage commitment of the `instances` that it got by another, and
    that it is not asked for what was `withheld` from it (SOP Instance UIDs)."""
    name = blake3(f"{delivered.route} {COMMITMENT}".encode()).hexdigest()[:32]
    # Whoever asks reads first what is not asked for.
    until = now_us + READ_US if withheld else 0
    asks = replace(delivered, route=name, at=now_us, kind=COMMITMENT, asked=instances + len(withheld), until=until)
    return [asks, *taken_in_pieces(asks, withheld, now_us)]


def route_of(completed: StudyCompleted, destination: str, kind: str) -> str:
    """The name of a route: the same where a completion is read twice."""
    parts = completed.partition, completed.study_instance_uid, completed.last_receipt, destination, kind
    return blake3("\0".join(parts).encode()).hexdigest()[:32]


def change_requests(
    change: InstancesDeleted | InstancesRestored,
    instances: Sequence[ChangedInstance],
    rules: Iterable[RouteRule],
    now_us: int,
) -> list[RouteRequested]:
    """The routes of what was taken away or came back, by rules that are about its study, each destination once."""
    wanted: dict[str, str] = {}
    for rule in rules:
        for destination in rule.notify:
            wanted.setdefault(destination, rule.name)
    return [
        RouteRequested(
            change.partition,
            change.trace,
            change.study_instance_uid,
            _change_route(change, destination),
            rule_name,
            destination,
            # An earlier release, which does not know the kind, finds nothing to send between these.
            first_receipt="",
            last_receipt="",
            at=now_us,
            kind=CHANGE,
            series_instance_uids=tuple(instance.series_instance_uid for instance in instances),
            sop_instance_uids=tuple(instance.sop_instance_uid for instance in instances),
            sop_class_uids=tuple(instance.sop_class_uid for instance in instances),
        )
        for destination, rule_name in wanted.items()
    ]


def correction_requests(change: CorrectionChange, rules: Iterable[RouteRule], now_us: int) -> list[RouteRequested]:
    """The routes of a correction, by rules that are about its study, each destination once."""
    wanted: dict[str, str] = {}
    for rule in rules:
        for destination in rule.corrected:
            wanted.setdefault(destination, rule.name)
    return [
        RouteRequested(
            change.partition,
            change.trace,
            change.study_instance_uid,
            _correction_route(change, destination),
            rule_name,
            destination,
            # As above: an earlier release sends nothing.
            first_receipt="",
            last_receipt="",
            at=now_us,
            kind=CORRECTION,
        )
        for destination, rule_name in wanted.items()
    ]


def patient_requests(change: PatientChange, receivers: Iterable[str], now_us: int) -> list[RouteRequested]:
    """The routes of what was decided about a patient, whose key stands for the study."""
    if isinstance(change, PatientMerged):
        kind = PATIENT_IDENTIFIER if change.renamed else PATIENT_MERGE
    else:
        kind = PATIENT_CORRECTION
    values = Receipt(change.correction).values_key(change.partition)
    return [
        RouteRequested(
            *(change.partition, change.trace, change.patient, _patient_route(change, destination), "patients"),
            destination,
            # As above: an earlier release sends nothing.
            first_receipt="",
            last_receipt="",
            at=now_us,
            kind=kind,
            values_key=values,
        )
        for destination in receivers
    ]


def _patient_route(change: PatientChange, destination: str) -> str:
    parts = change.partition, change.patient, change.correction, destination, type(change).__name__
    return blake3("\0".join(parts).encode()).hexdigest()[:32]


def _correction_route(change: CorrectionChange, destination: str) -> str:
    parts = change.partition, change.study_instance_uid, change.correction, destination, type(change).__name__
    return blake3("\0".join(parts).encode()).hexdigest()[:32]


def _change_route(change: InstancesDeleted | InstancesRestored, destination: str) -> str:
    # A change of many instances is in several events, which differ in what they name.
    first = change.receipts[0].receipt if change.receipts else ""
    parts = change.partition, change.study_instance_uid, str(change.at), first, destination, type(change).__name__
    return blake3("\0".join(parts).encode()).hexdigest()[:32]


def taken_in_pieces(
    route: RouteRequested, taken: Collection[str], now_us: int, until: int = 0, *, even_none: bool = False
) -> Iterator[RouteProgressed]:
    """That a destination took instances, in as many records as that needs; `even_none` makes one of none."""
    uids = tuple(taken)
    for first in range(0, len(uids) or int(even_none), _MOST_TAKEN):
        piece = uids[first : first + _MOST_TAKEN]
        yield RouteProgressed(route.partition, route.trace, route.study_instance_uid, route.route, piece, now_us, until)


def may_be_next(waiting: Sequence[RouteRequested]) -> list[int]:
    """Which of the routes that wait for a destination, in the order of the log, may be sent now, by their places: what
    was said of a performed procedure step, a workitem or a patient waits for what was said of it before, and for
    nothing else."""
    first: list[int] = []
    steps: set[tuple[str, str, str]] = set()
    for place, route in enumerate(waiting):
        if route.kind in STEP_KINDS or route.kind in PATIENT_KINDS:
            about = "" if route.kind in PATIENT_KINDS else route.kind
            step = about, route.partition, route.study_instance_uid
            if step in steps:
                continue
            steps.add(step)
        first.append(place)
    return first


@dataclass(frozen=True, slots=True)
class RouteState:
    """What is known of a route. `outcome` is "" while it is open; `again` is when it is tried next (microseconds), 0
    for at once. `taken` are the SOP Instance UIDs that need not be sent again; none are known once it is delivered."""

    requested: RouteRequested
    attempts: int = 0
    why: str = ""
    again: int = 0
    outcome: str = ""
    completed: int = 0
    failed: int = 0
    ended_at: int = 0
    by: str = ""
    taken: frozenset[str] = frozenset()
    withheld: int = 0
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Of the first of what was withheld: why, by SOP Instance UID."""

    @property
    def left(self) -> int | None:
        """How many instances are to be sent yet; None where nobody counted them when it was requested."""
        if not self.requested.asked:
            return None
        return self.failed if self.outcome else max(0, self.requested.asked - len(self.taken))


@dataclass(slots=True)
class RouteLedger:
    """All routes of a log, from its events in the order of the log."""

    routes: dict[str, RouteState] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Add an event; what ended stays ended, and what was requested twice is one route."""
        match event:
            case RouteRequested():
                self.routes.setdefault(event.route, RouteState(event))
            case RouteProgressed() if self._open(event.route):
                state = self.routes[event.route]
                self.routes[event.route] = replace(state, taken=state.taken.union(event.taken))
            case RouteDelayed() if self._open(event.route) and event.attempts >= self.routes[event.route].attempts:
                state = self.routes[event.route]
                self.routes[event.route] = replace(state, attempts=event.attempts, why=event.why, again=event.again)
            case RouteEnded() if self._open(event.route):
                state = self.routes[event.route]
                self.routes[event.route] = replace(
                    state,
                    outcome=event.outcome,
                    completed=event.completed,
                    failed=event.failed,
                    why=event.why,
                    ended_at=event.at,
                    by=event.by,
                    taken=frozenset() if event.outcome == DELIVERED else state.taken,
                    withheld=event.withheld,
                    reasons=dict(zip(event.withheld_uids, event.withheld_why, strict=False)),
                )

    def _open(self, route: str) -> bool:
        return route in self.routes and not self.routes[route].outcome

    def open(self) -> list[RouteState]:
        """Those that wait or are under way, the oldest first."""
        return sorted(
            (route for route in self.routes.values() if not route.outcome), key=lambda route: route.requested.at
        )

    def all(self) -> Sequence[RouteState]:
        """All of them, the oldest first."""
        return sorted(self.routes.values(), key=lambda route: route.requested.at)
