"""How the archive itself is: events that could not be applied, associations, processes."""

from __future__ import annotations

from dataclasses import dataclass


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
