"""What an acknowledgement says, for whoever sent the message. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.common.hl7.message import Hl7Message, MessageSegment, parse
from gantry.common.hl7.mllp import Frame, MllpDecoder

_WORDS = {
    "AA": "accepted: it is applied",
    "AE": "not applied: mend it",
    "AR": "rejected",
    "CA": "taken",
    "CE": "not taken: mend it",
    "CR": "rejected",
}


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The code (MSA-1), the control ID that is answered (MSA-2), words (MSA-3), and the problems of ERR segments."""

    code: str
    control_id: str
    text: str
    problems: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Whether the message was accepted."""
        return self.code in ("AA", "CA")

    @property
    def words(self) -> list[str]:
        """For a person, in lines."""
        first = f"{self.code} {_WORDS.get(self.code, 'an answer of an unknown code')}"
        return [f"{first}: {self.text}" if self.text and not self.problems else first, *self.problems]


def answer_in(frames: bytes) -> Acknowledged:
    """What some frames answer: the last of them counts. Raises `MessageRefused` for what is no acknowledgement."""
    decoder = MllpDecoder(len(frames))
    decoder.receive(frames)
    acknowledgment = Acknowledged("", "", "", ())
    while isinstance(frame := decoder.next(), Frame):
        acknowledgment = acknowledged(parse(frame.message.decode("utf-8", "replace")))
    return acknowledgment


def acknowledged(message: Hl7Message) -> Acknowledged:
    """What an acknowledgement says."""
    msa = message.first("MSA")
    if msa is None:
        return Acknowledged("", "", "the answer has no MSA segment", ())
    problems = tuple(_problem(error) for error in message.all("ERR"))
    return Acknowledged(msa.text(1), msa.text(2), msa.text(3), problems)


def _problem(error: MessageSegment) -> str:
    old = error.field(1)
    if old:
        place = "-".join(filter(None, (old.text(1), old.text(3))))
        return f"{place}: {old.text(4, 2)} ({old.text(4, 1)})".lstrip(": ")
    spot = error.field(2)
    place = "-".join(filter(None, (spot.text(1), spot.text(3))))
    place += f".{spot.text(5)}" if spot.text(5) else ""
    text = error.text(8) or error.text(7) or error.text(3, 2)
    return f"{place}: {text} ({error.text(3, 1)})".lstrip(": ")
