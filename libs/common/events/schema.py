"""The facts. Every event carries its partition (the organisation it belongs to) and the trace it belongs to.

A field may be added with a default; nothing is renamed, removed or given another meaning under the same version.
Tags are integers (group << 16 | element), offsets and lengths are bytes, times are microseconds since the epoch, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gantry.common.dicom.scan.layout import BulkElement, PixelData

OMITTED = {"omitted": True}
"""Of a field that was added, and is written only where it differs from its default: every other event is the same bytes
that earlier releases write."""


@dataclass(frozen=True, slots=True)
class InstanceStored:
    """An object's bytes are durable in the object store.

    `digest` is `blake3:<hex>` over the data set bytes exactly as received (without Part 10 preamble and file meta).
    `header` is the data set up to the pixel data, in the encoding of the transfer syntax (inflated where that is
    deflated), less the values named in `bulk`; None when it is larger than the limit for events: then the object's own
    first `header_length` bytes of data set are the reference (claim check).
    `coercion` is what rules changed on the way in (`gantry.common.lifecycle.Coercion`, packed), b"" for nothing; None
    where it was taken out together with the header: then it is in the object's own file meta information.
    """

    partition: str
    trace: str
    receipt: str
    stored_at: int
    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    object_key: str
    object_size: int
    data_set_offset: int
    data_set_length: int
    digest: str
    header: bytes | None
    header_length: int
    bulk: tuple[BulkElement, ...] = ()
    pixel_data: PixelData | None = None
    calling_ae_title: str = ""
    called_ae_title: str = ""
    peer_address: str = ""
    coercion: bytes | None = field(default=b"", metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class ObjectLost:
    """The object of a receipt was found missing or damaged (`reason`), by a role or command of ours (`found_by`).
    Another receipt of the same bytes is read in its place where there is one."""

    partition: str
    trace: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    receipt: str
    object_key: str
    reason: str
    found_by: str
    found_at: int


@dataclass(frozen=True, slots=True)
class NamesakeFound:
    """The SOP Instance UID of an instance is also that of another one, in another series: both can be found."""

    partition: str
    trace: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    receipt: str
    digest: str
    other_study_instance_uid: str
    other_series_instance_uid: str
    other_receipt: str
    other_digest: str
    found_at: int
    calling_ae_title: str = ""


@dataclass(frozen=True, slots=True)
class InstanceConflictFound:
    """An instance came again with other bytes: `kept` stays current, `aside` is kept beside it."""

    partition: str
    trace: str
    study_instance_uid: str
    sop_instance_uid: str
    kept_receipt: str
    kept_digest: str
    aside_receipt: str
    aside_digest: str
    found_at: int
    calling_ae_title: str = ""


@dataclass(frozen=True, slots=True)
class ReceiptReference:
    """One receipt of one instance of a study."""

    series_instance_uid: str
    sop_instance_uid: str
    receipt: str


@dataclass(frozen=True, slots=True)
class InstancesDeleted:
    """These receipts were deleted by a person or a rule (`by`), for `reason`. `deletion` names the deletion: it can be
    withdrawn until its objects are collected, unless it is `final`. Of one that is `kept` (a rejection) objects are
    never collected. `code` is that of the rejection note (PS3.16 CID 7011); "" for what no note did."""

    partition: str
    trace: str
    study_instance_uid: str
    deletion: str
    receipts: tuple[ReceiptReference, ...]
    reason: str
    by: str
    at: int
    final: bool = False
    kept: bool = False
    code: str = field(default="", metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class InstancesRestored:
    """`deletions` are withdrawn, as far as they are about these receipts."""

    partition: str
    trace: str
    study_instance_uid: str
    deletions: tuple[str, ...]
    receipts: tuple[ReceiptReference, ...]
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class InstancesMoved:
    """These receipts of one series belong to the series `into_series` of the study `into_study` from now on, as
    receipts that follow from them (`gantry.common.lifecycle.successor`); their objects stay where they are. `move`
    names the move, and the values that make their headers those of that study (`Receipt.values_key`)."""

    partition: str
    trace: str
    study_instance_uid: str
    move: str
    receipts: tuple[ReceiptReference, ...]
    into_study: str
    into_series: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class InstancesMovedBack:
    """The move is withdrawn: these receipts are what they were before."""

    partition: str
    trace: str
    study_instance_uid: str
    move: str
    receipts: tuple[ReceiptReference, ...]
    into_study: str
    into_series: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class ObjectsCollected:
    """The certificate: the objects of these receipts are no longer in the object store. `digests` are theirs, in the
    same order; "" where it was not known."""

    partition: str
    trace: str
    study_instance_uid: str
    receipts: tuple[ReceiptReference, ...]
    digests: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class ObjectsRelocated:
    """The objects of these receipts lie in the object store that the settings call `store` ("hot": the first one) since
    `at`: whole copies, read again there. The copies that they leave are removed later; until then both are there."""

    partition: str
    trace: str
    study_instance_uid: str
    receipts: tuple[ReceiptReference, ...]
    store: str
    at: int


@dataclass(frozen=True, slots=True)
class HoldPlaced:
    """Nothing of the study may be deleted or collected while the hold stands, whoever asks."""

    partition: str
    trace: str
    study_instance_uid: str
    hold: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class HoldReleased:
    """The hold stands no longer."""

    partition: str
    trace: str
    study_instance_uid: str
    hold: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class StudyCorrected:
    """Attributes of a study, or of one series of it (`series_instance_uid`), were corrected. The values lie in an
    object of their own (`Receipt.values_key` of `correction`), since they name a patient, and this is kept for ever."""

    partition: str
    trace: str
    study_instance_uid: str
    correction: str
    series_instance_uid: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class PatientHoldPlaced:
    """The same for all studies of a patient, those included that arrive later. `patient` is a digest of Patient ID and
    issuer (`gantry.common.lifecycle.patient_key`): what lies on the log and in segments names nobody."""

    partition: str
    trace: str
    patient: str
    hold: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class PatientHoldReleased:
    """The hold on a patient stands no longer."""

    partition: str
    trace: str
    patient: str
    hold: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class StudyAccessed:
    """Something of the study was retrieved. Published where a retention rule counts from the last access, at most once
    a day for each study; by whom is not said."""

    partition: str
    trace: str
    study_instance_uid: str
    at: int


@dataclass(frozen=True, slots=True)
class StudyCompleted:
    """Nothing more is expected of a study for now. `reason`: "quiet" (nothing came for a while), "long" (something came
    all the time), "procedure step" (all that a step made is here). `added` instances came since the last one; it has
    `instances`, all of which can be found. What comes later makes it complete once more. The receipts that came sort
    between `first_receipt` and `last_receipt`."""

    partition: str
    trace: str
    study_instance_uid: str
    reason: str
    added: int
    instances: int
    first_receipt: str
    last_receipt: str
    at: int
    senders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteRequested:
    """What came of a study between two receipts is to be sent to a destination, because of a `rule`, or of a person
    (`by`); or, where `kind` is "availability", only told of (PS3.4 R). `route` names this.

    With the kind "availability change" instances of the study were taken away or came back, and what is there of it is
    told: `series_instance_uids`, `sop_class_uids` and `sop_instance_uids` name them, one entry of each for an instance.

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


@dataclass(frozen=True, slots=True)
class StudyCorrectionWithdrawn:
    """A correction of a study stands no longer."""

    partition: str
    trace: str
    study_instance_uid: str
    correction: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class StudyCorrectionsErased:
    """The values of these corrections are no longer in the object store: nothing of the study is there any more."""

    partition: str
    trace: str
    study_instance_uid: str
    corrections: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class PatientCorrected:
    """The demographics of a patient were corrected. `patient` is a digest of Patient ID and issuer
    (`gantry.common.lifecycle.patient_key`); the values lie in an object of their own, as for `StudyCorrected`."""

    partition: str
    trace: str
    patient: str
    correction: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class PatientMerged:
    """All that is of `patient`, and all that will come, belongs to the patient `into` from now on. `renamed`: that one
    was not known before, so that this is a change of Patient ID. The values are the identity and demographics of
    `into`, in an object of their own."""

    partition: str
    trace: str
    patient: str
    correction: str
    into: str
    renamed: bool
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class PatientCorrectionWithdrawn:
    """A correction of a patient, or a merge of it into another one, stands no longer."""

    partition: str
    trace: str
    patient: str
    correction: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class PatientCorrectionsErased:
    """The values of these corrections and merges are no longer in the object store: nothing of the patient is there any
    more."""

    partition: str
    trace: str
    patient: str
    corrections: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class CommitmentReference:
    """One Referenced SOP Sequence item of a storage commitment request (PS3.4 J.3.2)."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class CommitmentFailure:
    """One Failed SOP Sequence item; `reason` is a Failure Reason of PS3.3 C.14.1.1."""

    sop_class_uid: str
    sop_instance_uid: str
    reason: int


@dataclass(frozen=True, slots=True)
class CommitmentRequested:
    """A peer asked us to take responsibility for instances; it is owed a report."""

    partition: str
    trace: str
    transaction_uid: str
    requested_at: int
    calling_ae_title: str
    called_ae_title: str
    peer_address: str
    references: tuple[CommitmentReference, ...] = field(default=())

    @property
    def over_http(self) -> bool:
        """Whether it came over HTTP, from a caller that asks for the result itself (PS3.18 13.5)."""
        return not self.called_ae_title


@dataclass(frozen=True, slots=True)
class CommitmentReported:
    """The report of a transaction was accepted by its requester, or given up on after the last retry."""

    partition: str
    trace: str
    transaction_uid: str
    calling_ae_title: str
    reported_at: int
    delivered: bool
    failures: tuple[CommitmentFailure, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class InstancesCommittedElsewhere:
    """A peer reported on a transaction in which we asked it for storage commitment (PS3.4 J.3.3), because of a `route`:
    it takes responsibility for the instances `committed` of a study, and not for those in `failures`. `digests` has for
    each instance that is committed that of the object which was sent, as it is stored here."""

    partition: str
    trace: str
    transaction_uid: str
    study_instance_uid: str
    ae_title: str
    route: str
    requested_at: int
    reported_at: int
    committed: tuple[CommitmentReference, ...]
    digests: tuple[str, ...]
    failures: tuple[CommitmentFailure, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a consumer group could not apply, with its bytes and the reason."""

    partition: str
    trace: str
    group: str
    topic: str
    offset: int
    reason: str
    failed_at: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class DeadLetterReplayed:
    """The event of a dead letter was published again, by a person (`by`): its group hears of it once more. `letter` is
    `gantry.common.events.letters.letter_id`."""

    partition: str
    trace: str
    group: str
    letter: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class DeadLetterDiscarded:
    """A person (`by`) decided, for `reason`, that the event of a dead letter is not to be applied."""

    partition: str
    trace: str
    group: str
    letter: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class RequestAnswers:
    """How often requests of one kind were answered with one status; `why` is the Error Comment of the refusals."""

    command: str
    status: int
    times: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class AssociationEnded:
    """An association that was accepted is over; `outcome` is "released", "aborted by peer", "aborted" or "lost".
    `times` is more than 1 for associations that only verified (C-ECHO): the last one stands for those before it."""

    partition: str
    trace: str
    role: str
    calling_ae_title: str
    called_ae_title: str
    peer_address: str
    tls: bool
    opened_at: int
    ended_at: int
    outcome: str
    bytes_in: int
    bytes_out: int
    answers: tuple[RequestAnswers, ...] = ()
    times: int = 1


@dataclass(frozen=True, slots=True)
class StudyDelivered:
    """Instances of a study were sent to `receiver` (an AE title, or the name of a token), `failed` of those that were
    asked for were not, and `why`. `over` is "C-GET", "C-MOVE", "finished C-MOVE" (what one left, later), "send" (by the
    word of the page), "route" (by a rule) or "DICOMweb": of that instances are not counted, but requests, `times`.
    `calling_ae_title` asked for it, "" over HTTP; `peer_address` is where it was sent."""

    partition: str
    trace: str
    study_instance_uid: str
    calling_ae_title: str
    receiver: str
    peer_address: str
    over: str
    completed: int
    failed: int
    why: str
    at: int
    times: int = 1


@dataclass(frozen=True, slots=True)
class AssociationRefused:
    """A peer got no association. `result`, `source` and `diagnostic` are those of the A-ASSOCIATE-RJ (PS3.8 9.3.4), 0
    where a connection ended before it was asked for one: then AE titles are "" as well. `times` counts the same refusal
    since it was last recorded, this one included."""

    partition: str
    trace: str
    role: str
    calling_ae_title: str
    called_ae_title: str
    peer_address: str
    result: int
    source: int
    diagnostic: int
    why: str
    at: int
    times: int = 1


@dataclass(frozen=True, slots=True)
class MessageAnswered:
    """An HL7 message was applied, and its sender is answered with `reply`, the frames as they are sent: one that comes
    again (the same `source`, MSH-3 and MSH-4, `control_id`, MSH-10, and `digest` of its bytes) gets them again. `kind`
    is as "ORM^O01"."""

    partition: str
    trace: str
    source: str
    control_id: str
    digest: str
    kind: str
    reply: bytes
    at: int


@dataclass(frozen=True, slots=True)
class MessageQuarantined:
    """An HL7 message could not be applied, for these `problems`, and its sender was told so (AE). `text` is the message
    as it came, which names a patient: the log forgets it with its topic, and no segment has it."""

    partition: str
    trace: str
    source: str
    control_id: str
    digest: str
    kind: str
    text: bytes
    problems: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class MessageDiscarded:
    """A person (`by`) decided, for `reason`, that a message in quarantine is not to be applied."""

    partition: str
    trace: str
    source: str
    control_id: str
    digest: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class StoreSpace:
    """How many bytes are free, and there are in all, where an embedded `store` lies ("objects", "log" or "index")."""

    store: str
    free: int
    size: int


@dataclass(frozen=True, slots=True)
class ProcessReported:
    """A process of the archive says every few seconds how it is, so that any other one can say it of all of them.
    `process` is its host and number, `problems` are the lines of its /readyz, `associations` and `transfers` are under
    way in it (transfers are those over HTTP). `ended`: it ends in order, and reports no more."""

    partition: str
    trace: str
    process: str
    host: str
    roles: tuple[str, ...]
    version: str
    started_at: int
    at: int
    problems: tuple[str, ...] = ()
    associations: int = 0
    transfers: int = 0
    spaces: tuple[StoreSpace, ...] = ()
    ended: bool = False


@dataclass(frozen=True, slots=True)
class OrderPlaced:
    """An order (one Imaging Service Request with one Requested Procedure and its Scheduled Procedure Steps) was placed
    under its key, in the place of what was placed under it before. `attributes` are its attributes by tag, packed
    (`gantry.common.orders.pack`), the steps in Scheduled Procedure Step Sequence. `change` names this event, `source`
    says who sent it ("hl7 RIS^HOSPITAL", "rest NAME", "ae TITLE") and `message` in what (the control ID of HL7, or
    ""). Whether it was accepted is decided by the fold (`gantry.common.orders`).

    What names a patient can be erased: the attributes lie in an object of their own, `values_key`, of so many bytes and
    with this digest (`gantry.common.orders.values`), and are b"" here. Earlier releases wrote them into the event."""

    partition: str
    trace: str
    order: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    values_key: str = field(default="", metadata=OMITTED)
    values_size: int = field(default=0, metadata=OMITTED)
    values_digest: str = field(default="", metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """Attributes of an order, and of its steps by Scheduled Procedure Step ID (`step_attributes`), are to be set; None
    takes an attribute, or a step, away. Both are packed, in an object as those of `OrderPlaced` are."""

    partition: str
    trace: str
    order: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    step_attributes: bytes
    values_key: str = field(default="", metadata=OMITTED)
    values_size: int = field(default=0, metadata=OMITTED)
    values_digest: str = field(default="", metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """The steps with these Scheduled Procedure Step IDs will not be performed; the whole order where there are none."""

    partition: str
    trace: str
    order: str
    change: str
    source: str
    message: str
    at: int
    steps: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class StudyLinked:
    """The images of a study were made for this order, whatever they say themselves (IHE Patient Information
    Reconciliation). `correction` is the one that gives the study the attributes of the order."""

    partition: str
    trace: str
    order: str
    change: str
    source: str
    message: str
    at: int
    study_instance_uid: str
    correction: str
    reason: str


@dataclass(frozen=True, slots=True)
class StudyUnlinked:
    """They were not, after all."""

    partition: str
    trace: str
    order: str
    change: str
    source: str
    message: str
    at: int
    study_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderErased:
    """All that was said of an order is erased, for `reason`, with what these performed procedure steps (SOP Instance
    UIDs) said; unless something was asked of it after the change `known`. Whoever follows the topic removes the objects
    with their values, and drops what it knows."""

    partition: str
    trace: str
    order: str
    change: str
    source: str
    message: str
    at: int
    known: str
    performed: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ProcedureStepErased:
    """All that was said of a performed procedure step is erased, for `reason`: one that belongs to no order."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    reason: str


@dataclass(frozen=True, slots=True)
class ProcedureStepCreated:
    """A modality began a performed procedure step (N-CREATE, PS3.4 F.7.2.1); `attributes` as in `OrderPlaced`."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    values_key: str = field(default="", metadata=OMITTED)
    values_size: int = field(default=0, metadata=OMITTED)
    values_digest: str = field(default="", metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class ProcedureStepSet:
    """A modality set attributes of a performed procedure step (N-SET, PS3.4 F.7.2.2)."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    values_key: str = field(default="", metadata=OMITTED)
    values_size: int = field(default=0, metadata=OMITTED)
    values_digest: str = field(default="", metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class WorkitemCreated:
    """A Unified Procedure Step (a workitem of PS3.18) was to be created: N-CREATE (PS3.4 CC.2.5), or POST. The fields
    are as in `OrderPlaced`; whether it was accepted is decided by the fold (`gantry.common.workitems`)."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    values_key: str = ""
    values_size: int = 0
    values_digest: str = ""


@dataclass(frozen=True, slots=True)
class WorkitemSet:
    """Attributes of a workitem were to be set (N-SET, PS3.4 CC.2.6), by who holds the lock `lock`: a digest of its
    Transaction UID, "" where none was given. The Transaction UID itself is on no log."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    lock: str
    values_key: str = ""
    values_size: int = 0
    values_digest: str = ""


@dataclass(frozen=True, slots=True)
class WorkitemStateRequested:
    """A workitem was to get this Procedure Step State (N-ACTION, PS3.4 CC.2.1); `lock` as in `WorkitemSet`."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    state: str
    lock: str


@dataclass(frozen=True, slots=True)
class WorkitemCancelRequested:
    """Somebody who does not perform a workitem asked that it be cancelled (N-ACTION, PS3.4 CC.2.2); `attributes` are
    his reason and how he can be reached, as in `WorkitemCreated`."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    values_key: str = ""
    values_size: int = 0
    values_digest: str = ""


@dataclass(frozen=True, slots=True)
class WorkitemErased:
    """All that was said of a workitem is erased, for `reason`: its UID is never used again."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    reason: str


@dataclass(frozen=True, slots=True)
class WorkitemSubscribed:
    """The AE title `subscriber` is to be told what happens to workitems (PS3.4 CC.2.3): to that of this SOP Instance
    UID; to all, where that is the well-known one of the global subscription; or, with the well-known one of the
    filtered global subscription, to those that match `attributes` (by tag the values of the keys, as text), which are
    kept as those of `WorkitemCreated` are. With `deletion_lock` they are not erased by age."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    subscriber: str
    deletion_lock: bool
    values_key: str = ""
    values_size: int = 0
    values_digest: str = ""


@dataclass(frozen=True, slots=True)
class WorkitemUnsubscribed:
    """It is not, any more; with a well-known UID, of no workitem."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    subscriber: str


@dataclass(frozen=True, slots=True)
class WorkitemSubscriptionSuspended:
    """A global subscription, by its well-known UID, is for no workitem that is created from now on."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    subscriber: str


@dataclass(frozen=True, slots=True)
class ShareCreated:
    """Somebody (`by`) made a link by which whoever has it sees these `studies` until `expires_at`, for `reason`, which
    says to whom and what for. Of the link only the digest of its token is kept, of the password only what scrypt leaves
    ("" where there is none). It opens so many times; `download`: whole objects may be taken away, too.

    With `deidentified_by`, the name of a profile, copies are shown that are de-identified by it: `studies` are the UIDs
    of these, which nothing in the archive has, and `copies_of` the studies themselves, in the same order. It opens once
    there is a `ShareCopied`."""

    partition: str
    trace: str
    share: str
    token_digest: str
    studies: tuple[str, ...]
    expires_at: int
    openings: int
    password: str
    download: bool
    reason: str
    by: str
    at: int
    deidentified_by: str = field(default="", metadata=OMITTED)
    copies_of: tuple[str, ...] = field(default=(), metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class ShareCopied:
    """What a link shows was de-identified, so many `instances`, and lies in the object store. Others were `withheld`:
    they could not be; the `reasons` are words with numbers."""

    partition: str
    trace: str
    share: str
    instances: int
    withheld: int
    reasons: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class ShareTried:
    """A password was going to be compared with that of a link: a try, whose outcome is not known yet."""

    partition: str
    trace: str
    share: str
    trial: str
    at: int


@dataclass(frozen=True, slots=True)
class ShareOpened:
    """A link was to be opened, after the try `trial` where it has a password. Whether it was is decided by the fold
    (`gantry.common.access.shares`): of several at once, the first on the log."""

    partition: str
    trace: str
    share: str
    opening: str
    trial: str
    at: int


@dataclass(frozen=True, slots=True)
class ShareRevoked:
    """A link opens no longer, and whoever is in by it is out."""

    partition: str
    trace: str
    share: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class SessionsEnded:
    """An identity provider, `issuer` as we call it, says that somebody is signed out (OpenID Connect Back-Channel
    Logout 1.0): of his session `sid` there, or, where that is "", of all that began until then. `token` is the `jti` of
    what it said: the same one again changes nothing."""

    partition: str
    trace: str
    issuer: str
    subject: str
    sid: str
    token: str
    at: int


@dataclass(frozen=True, slots=True)
class AuditedInstances:
    """What an audit record is about: so many `instances` of one SOP class of one study of one patient; "" and 0 for
    what is not known or not meant. `patient_key` stands where a patient is known by a digest of ID and issuer alone."""

    study_instance_uid: str
    patient_id: str = ""
    issuer: str = ""
    patient_key: str = ""
    sop_class_uid: str = ""
    instances: int = 0


@dataclass(frozen=True, slots=True)
class AuditRecorded:
    """Something was accessed, changed, sent, asked for or refused (PS3.15 A.5). `record` names this record: it may come
    twice, and then the one with the higher `times` has all of it. `kind` is one of `gantry.common.audit.Kind`,
    `operation` says what was done in words of DICOM or HTTP, `outcome` is 0, 4, 8 or 12 (RFC 3881 5.1.4).

    The `requestor` is an AE title, the name of a token, a person at the command line or a part of the archive, as
    `requestor_is` says ("ae", "token", "this machine", "archive", ""); `peer` is the other side, or where objects went.
    `times` such requests between `begun_at` and `at` are one record; `more` studies are not named in `objects`. `query`
    is the identifier of a query as it came, or a query string, of the SOP class or resource `query_class`. `user` is
    who worked at the requestor, an AE, where it said so and it was checked (PS3.7 D.3.3.7). What was sent was
    de-identified by the profile `deidentified_by`."""

    partition: str
    trace: str
    record: str
    kind: str
    operation: str
    outcome: int
    why: str
    requestor: str
    requestor_is: str
    address: str
    peer: str
    peer_address: str
    role: str
    process: str
    begun_at: int
    at: int
    times: int = 1
    objects: tuple[AuditedInstances, ...] = ()
    more: int = 0
    query: bytes = b""
    query_class: str = ""
    user: str = field(default="", metadata={"omitted": True})
    deidentified_by: str = field(default="", metadata=OMITTED)


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
    | ShareTried
    | ShareOpened
    | ShareRevoked
    | SessionsEnded
    | AuditRecorded
)
