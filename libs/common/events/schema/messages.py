"""HL7 messages that came in."""

from __future__ import annotations

from dataclasses import dataclass


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
