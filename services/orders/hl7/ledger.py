"""The answers to messages, and the quarantine: the fold of the topic of messages (pure)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from blake3 import blake3

from gantry.common.errors import NotFound
from gantry.common.events import Event, MessageAnswered, MessageDiscarded, MessageQuarantined

_DIGITS = 12
_MOST_ANSWERS = 200_000
"""Most messages whose answers are remembered, whatever their age; some 100 MB."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One message in quarantine; `id` names it. `times` is how often it arrived. `state` is "open", "applied" (it, or
    one with its control ID, was accepted later) or "discarded"."""

    id: str
    source: str
    control_id: str
    kind: str
    problems: tuple[str, ...]
    at: int
    times: int = 1
    state: str = "open"
    reason: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Remembered:
    """The answer to an accepted message."""

    digest: str
    reply: bytes
    at: int


class MessageLedger:
    """Takes events in the order of the log, which is the order of each sender; repeating an event changes nothing."""

    def __init__(self, remembered_us: int = 0, *, texts: bool = True) -> None:
        """Answers are remembered for `remembered_us` microseconds; the texts of messages only if they are wanted."""
        self._remembered_us = remembered_us
        self._with_texts = texts
        self._answers: OrderedDict[tuple[str, str], Remembered] = OrderedDict()
        self._quarantined: dict[str, Quarantined] = {}
        self._digests: dict[str, str] = {}
        self._texts: dict[str, bytes] = {}

    def take(self, event: Event) -> None:
        """Take an event in; those of other topics are ignored."""
        if isinstance(event, MessageAnswered):
            self._answered(event)
        elif isinstance(event, MessageQuarantined):
            self._refused(event)
        elif isinstance(event, MessageDiscarded):
            name = message_id(event.source, event.control_id, event.digest)
            if name in self._quarantined:
                self._decide(name, "discarded", event.reason, event.by)

    def answer(self, source: str, control_id: str, now_us: int) -> Remembered | None:
        """The answer to an accepted message of a sender, if it is still remembered."""
        record = self._answers.get((source, control_id))
        return record if record is not None and record.at >= now_us - self._remembered_us else None

    def attempts(self, source: str, control_id: str, digest: str) -> int:
        """How often this very message was refused before."""
        message = self._quarantined.get(message_id(source, control_id, digest))
        return 0 if message is None else message.times

    def all(self) -> list[Quarantined]:
        """All that was ever in quarantine, as far as the log retains it, the oldest first."""
        return sorted(self._quarantined.values(), key=lambda message: message.at)

    def open(self) -> list[Quarantined]:
        """Messages without a decision."""
        return [message for message in self.all() if message.state == "open"]

    def named(self, name: str) -> Quarantined:
        """The message with this id, or whose id begins like this. Raises `NotFound` if there is none, or several
        match."""
        messages = [message for id_, message in self._quarantined.items() if name and id_.startswith(name)]
        if len(messages) != 1:
            raise NotFound("no such message in quarantine" if not messages else "several messages begin so")
        return messages[0]

    def text(self, name: str) -> bytes:
        """The message as it was received."""
        return self._texts[name]

    def digest(self, name: str) -> str:
        """The digest of its bytes."""
        return self._digests[name]

    def _answered(self, event: MessageAnswered) -> None:
        key = event.source, event.control_id
        self._answers[key] = Remembered(event.digest, event.reply, event.at)
        self._answers.move_to_end(key)
        while self._answers:
            oldest = next(iter(self._answers.values()))
            if len(self._answers) <= _MOST_ANSWERS and oldest.at >= event.at - self._remembered_us:
                break
            self._answers.popitem(last=False)
        for name, message in self._quarantined.items():
            if (message.source, message.control_id) == key and message.state == "open":
                self._decide(name, "applied")

    def _refused(self, event: MessageQuarantined) -> None:
        name = message_id(event.source, event.control_id, event.digest)
        before = self._quarantined.get(name)
        if before is not None and event.at <= before.at:
            return  # taken in already, where it was published
        times = 1 if before is None else before.times + 1
        self._quarantined[name] = Quarantined(
            name, event.source, event.control_id, event.kind, event.problems, event.at, times
        )
        self._digests[name] = event.digest
        if self._with_texts:
            self._texts[name] = event.text

    def _decide(self, name: str, state: str, reason: str = "", by: str = "") -> None:
        self._quarantined[name] = replace(self._quarantined[name], state=state, reason=reason, by=by)


def message_id(source: str, control_id: str, digest: str) -> str:
    """The id of a message in quarantine: 12 hexadecimal digits, the same however often it arrives."""
    return blake3("\0".join((source, control_id, digest)).encode()).hexdigest()[:_DIGITS]
