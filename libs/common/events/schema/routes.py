"""Studies that are sent on."""

from __future__ import annotations

from dataclasses import dataclass, field

from gantry.common.events.schema.fields import OMITTED


@dataclass(frozen=True, slots=True)
class RouteRequested:
    """What came of a study between two receipts is to be sent to a destination, because of a `rule`, or of a person
    (`by`); or, where `kind` is "availability", only told of (PS3.4 R). `route` names this.

    With the kind "availability change" instances of the study were taken away or came back, and what is there of it is
    told: `series_instance_uids`, `sop_class_uids` and `sop_instance_uids` name them, one entry of each for an instance.

    With the kind "correction" values of the study were corrected, or that was withdrawn: a receiver of HL7 is told what
    they are then.

    With the kinds "patient correction", "patient merge" and "patient identifier" a receiver of HL7 is told what was
    decided about a patient, whose key stands in `study_instance_uid`; whom it was decided of lies in `values_key`.

    With the kind "prefetch" priors for the order `requestor` (its key) are fetched from the `destination`, which is a
    source then; what is wanted is asked of the order when it is tried. `taken` are Study Instance UIDs.

    With `commits` the destination is asked for storage commitment (PS3.4 J) of what it got: by one more route, of the
    kind "commitment".

    With the kind "move" a C-MOVE of `requestor` has begun to send `asked` instances of the study: of these series and
    instances, all where none are named. It sends them itself; nobody else does before the time `until` (microseconds),
    which `RouteProgressed` puts off.

    With the kinds "step event" and "step" it is about a performed procedure step, whose SOP Instance UID stands in
    `study_instance_uid` and orders what is told of it: `requestor` told `step_event` (an Event Type ID of PS3.4 table
    F.9.2-1) of it. With "step" that message itself is sent, whose attributes lie in the object `values_key`.

    With the kind "workitem event" it is about a workitem, in the same way: a subscriber is told `step_event` (an Event
    Type ID of PS3.4 table CC.2.4-1) with this state and Input Readiness State, or with what lies in `values_key`.

    With `deidentify`, the name of a profile, what is sent is de-identified. It is about what came between the two
    receipts `between` then: a release that does not know these fields finds nothing between the others, and sends
    nothing."""

    partition: str
    trace: str
    study_instance_uid: str
    route: str
    rule: str
    destination: str
    first_receipt: str
    last_receipt: str
    at: int
    by: str = ""
    kind: str = ""
    requestor: str = field(default="", metadata=OMITTED)
    message_id: int = field(default=0, metadata=OMITTED)
    asked: int = field(default=0, metadata=OMITTED)
    series_instance_uids: tuple[str, ...] = field(default=(), metadata=OMITTED)
    sop_instance_uids: tuple[str, ...] = field(default=(), metadata=OMITTED)
    until: int = field(default=0, metadata=OMITTED)
    sop_class_uids: tuple[str, ...] = field(default=(), metadata=OMITTED)
    step_event: int = field(default=0, metadata=OMITTED)
    values_key: str = field(default="", metadata=OMITTED)
    values_size: int = field(default=0, metadata=OMITTED)
    values_digest: str = field(default="", metadata=OMITTED)
    commits: bool = field(default=False, metadata=OMITTED)
    deidentify: str = field(default="", metadata=OMITTED)
    between: tuple[str, ...] = field(default=(), metadata=OMITTED)
    step_state: str = field(default="", metadata=OMITTED)
    step_readiness: str = field(default="", metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class RouteProgressed:
    """The destination of a route took instances (SOP Instance UIDs), which need not be sent again; the route is sent by
    nobody else before the time `until` (microseconds), 0 where that does not change."""

    partition: str
    trace: str
    study_instance_uid: str
    route: str
    taken: tuple[str, ...]
    at: int
    until: int = 0


@dataclass(frozen=True, slots=True)
class RouteDelayed:
    """A route could not be finished for now, and `why`; it is tried again at the time `again` (microseconds)."""

    partition: str
    trace: str
    study_instance_uid: str
    route: str
    attempts: int
    why: str
    at: int
    again: int


@dataclass(frozen=True, slots=True)
class RouteEnded:
    """Nothing more is done for a route; `outcome` is "delivered", "failed" or "cancelled" (`by` a person, or because
    nothing was left to send), and `why`. So many instances were `withheld`: they could not be de-identified.
    `withheld_uids` are the first of them, `withheld_why` the reason of each."""

    partition: str
    trace: str
    study_instance_uid: str
    route: str
    outcome: str
    completed: int
    failed: int
    why: str
    at: int
    by: str = ""
    withheld: int = field(default=0, metadata=OMITTED)
    withheld_uids: tuple[str, ...] = field(default=(), metadata=OMITTED)
    withheld_why: tuple[str, ...] = field(default=(), metadata=OMITTED)
