"""Dead letters and the decisions about them: the pure fold of the topic `dead-letters`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from gantry.common.errors import NotFound, UndecodableEvent
from gantry.common.events import (
    DeadLetter,
    DeadLetterDiscarded,
    DeadLetterReplayed,
    Event,
    InstanceStored,
    decode,
    letter_id,
)

Decided = DeadLetterReplayed | DeadLetterDiscarded
_SHORTEST = 4


class LetterState(StrEnum):
    """The state of a dead letter."""

    OPEN = "open"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as people see it, without patient data. Times are microseconds since the epoch. `event` is the kind
    of event that could not be applied, "" if this release cannot read it; UIDs are "" if the event has none."""

    id: str
    group: str
    topic: str
    offset: int
    reason: str
    failed_at: int
    trace: str
    event: str = ""
    study_instance_uid: str = ""
    sop_instance_uid: str = ""
    receipt: str = ""
    sender: str = ""
    state: LetterState = LetterState.OPEN
    decided_by: str = ""
    decided_at: int = 0
    decided_why: str = ""


def event_of(letter: DeadLetter) -> Event | None:
    """The event that could not be applied; None if this release cannot read it."""
    try:
        return decode(letter.payload)
    except UndecodableEvent:
        return None


def described(dead: DeadLetter) -> Letter:
    """A letter without a decision."""
    event = event_of(dead)
    sender = event.calling_ae_title if isinstance(event, InstanceStored) else ""
    return Letter(
        letter_id(dead),
        dead.group,
        dead.topic,
        dead.offset,
        dead.reason,
        dead.failed_at,
        dead.trace,
        "" if event is None else type(event).__name__,
        study_instance_uid=getattr(event, "study_instance_uid", ""),
        sop_instance_uid=getattr(event, "sop_instance_uid", ""),
        receipt=getattr(event, "receipt", ""),
        sender=sender,
    )


@dataclass(slots=True)
class LetterLedger:
    """Every dead letter of a log by name. Events may come twice, and a decision may overtake its letter."""

    letters: dict[str, DeadLetter] = field(default_factory=dict)
    decisions: dict[str, Decided] = field(default_factory=dict)

    def take(self, event: Event | None) -> None:
        """Add an event of the topic."""
        if isinstance(event, DeadLetter):
            name = letter_id(event)
            # The same event failed again before its offset was committed: its last failure counts.
            if name not in self.letters or event.failed_at > self.letters[name].failed_at:
                self.letters[name] = event
        elif isinstance(event, DeadLetterReplayed | DeadLetterDiscarded):
            before = self.decisions.get(event.letter)
            if before is None or event.at >= before.at:
                self.decisions[event.letter] = event

    def all(self) -> list[Letter]:
        """Every letter with its decision, the oldest first."""
        letters = [self._decided(name, described(dead)) for name, dead in self.letters.items()]
        return sorted(letters, key=lambda letter: (letter.failed_at, letter.id))

    def open(self) -> list[Letter]:
        """The letters without a decision."""
        return [letter for letter in self.all() if letter.state is LetterState.OPEN]

    def named(self, prefix: str) -> DeadLetter:
        """The letter whose name begins like this. Raises `NotFound` for none and for more than one."""
        names = [name for name in self.letters if name.startswith(prefix)] if len(prefix) >= _SHORTEST else []
        if len(names) != 1:
            why = (
                "several dead letters begin with this"
                if names
                else "no such dead letter: `gantry dlq list --all` names them"
            )
            raise NotFound(why)
        return self.letters[names[0]]

    def _decided(self, name: str, letter: Letter) -> Letter:
        decision = self.decisions.get(name)
        if decision is None or decision.at < letter.failed_at:
            return letter
        if isinstance(decision, DeadLetterReplayed):
            state, why = LetterState.REPLAYED, ""
        else:
            state, why = LetterState.DISCARDED, decision.reason
        return replace(letter, state=state, decided_by=decision.by, decided_at=decision.at, decided_why=why)
