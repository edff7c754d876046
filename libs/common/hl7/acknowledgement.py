"""How a message is answered: ACK with MSA, and ERR for each problem (HL7 v2.5 2.9, 2.14.5, 2.14.8). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gantry.common.hl7.message import Delimiters, Hl7Message
from gantry.common.hl7.problems import MessageProblem, Spot

_MOST_ERRORS = 20
_VERSION = re.compile(r"2\.[1-9](\.\d)?")


class AcknowledgementCode(StrEnum):
    """HL7 table 0008."""

    ACCEPT = "AA"
    ERROR = "AE"
    REJECT = "AR"
    COMMIT_ACCEPT = "CA"
    COMMIT_ERROR = "CE"
    COMMIT_REJECT = "CR"


_COMMIT = {
    AcknowledgementCode.ACCEPT: AcknowledgementCode.COMMIT_ACCEPT,
    AcknowledgementCode.ERROR: AcknowledgementCode.COMMIT_ERROR,
    AcknowledgementCode.REJECT: AcknowledgementCode.COMMIT_REJECT,
}


@dataclass(frozen=True, slots=True)
class MessageAnswer:
    """What became of a message; `text` for a person where there is no problem."""

    code: AcknowledgementCode
    problems: tuple[MessageProblem, ...] = ()
    text: str = ""


def acknowledgements(message: Hl7Message, answer: MessageAnswer, control_id: str, at: str) -> list[bytes]:
    """What is sent back, in this order. `control_id` is ours, `at` the time as HL7 writes it (MSH-7).

    Original mode: one acknowledgement. Enhanced mode (HL7 v2.5 2.9.3, MSH-15 or MSH-16 valued): the accept and the
    application acknowledgement, each where the conditions of table 0155 ask for it. Both come when the message is
    applied: more than accept acknowledgements promise.
    """
    accept, application = message.header.text(15), message.header.text(16)
    if not accept and not application:
        return [_acknowledgement(message, answer, control_id, at)]
    sent = []
    if _is_wanted(accept, answer):
        committed = MessageAnswer(_COMMIT[answer.code], answer.problems, answer.text)
        sent.append(_acknowledgement(message, committed, f"{control_id}-A", at))
    if _is_wanted(application, answer):
        sent.append(_acknowledgement(message, answer, control_id, at))
    return sent


def rejection(answer: MessageAnswer, control_id: str, at: str) -> bytes:
    """The answer to what is no message: MSA-2 is empty."""
    lines = [f"MSH|^~\\&|GANTRY||||{at}||ACK|{control_id}|P|2.5", f"MSA|{answer.code}||{_words(answer)}"]
    lines += _errors(answer.problems, Delimiters(), "2.5")
    return _bytes(lines)


def _is_wanted(condition: str, answer: MessageAnswer) -> bool:
    """HL7 table 0155: always, never, on error, on success."""
    good = answer.code is AcknowledgementCode.ACCEPT
    return condition == "AL" or condition == ("SU" if good else "ER")


def _acknowledgement(message: Hl7Message, answer: MessageAnswer, control_id: str, at: str) -> bytes:
    header, d = message.header, message.header.delimiters
    version = message.version if _VERSION.fullmatch(message.version) else "2.5"
    # The receiver of the message is the sender of its acknowledgement, as they are written (HL7 v2.5 2.9.2.2).
    ours, theirs = [header.field(n).raw for n in (5, 6)], [header.field(n).raw for n in (3, 4)]
    kind = d.component.join(filter(None, ("ACK", message.event, "ACK" if _is_from(version, 4) else "")))
    msh = ["MSH", d.encoding_characters, *ours, *theirs, at, "", kind, control_id, header.field(11).raw or "P", version]
    msa = ["MSA", answer.code, header.field(10).raw, d.escaped(_words(answer))]
    lines = [d.field.join(msh), d.field.join(msa), *_errors(answer.problems, d, version)]
    return _bytes(lines)


def _errors(problems: Sequence[MessageProblem], d: Delimiters, version: str) -> list[str]:
    made = _error if _is_from(version, 5) else _old_error
    return [made(problem, d) for problem in problems[:_MOST_ERRORS]]


def _error(problem: MessageProblem, d: Delimiters) -> str:
    """HL7 v2.5 2.14.5: location, code of table 0357, severity, and words for a person."""
    code = d.component.join((str(problem.code.value), problem.code.words, "HL70357"))
    text = d.escaped(problem.text)
    return d.field.join(("ERR", "", _location(problem.spot, d), code, "E", "", "", text, text))


def _old_error(problem: MessageProblem, d: Delimiters) -> str:
    """Before HL7 v2.5: ERR-1 alone (v2.4 2.16.5)."""
    spot = problem.spot
    code = d.subcomponent.join((str(problem.code.value), d.escaped(problem.text), "HL70357"))
    place = [spot.segment, str(spot.occurrence) if spot.segment else "", str(spot.field or "")]
    return d.field.join(("ERR", d.component.join((*place, code))))


def _location(spot: Spot, d: Delimiters) -> str:
    if not spot.segment:
        return ""
    parts = [spot.segment, str(spot.occurrence)]
    if spot.field:
        parts += [str(spot.field), "1"] if spot.component else [str(spot.field)]
        parts += [str(spot.component)] if spot.component else []
    return d.component.join(parts)


def _words(answer: MessageAnswer) -> str:
    return str(answer.problems[0]) if answer.problems else answer.text


def _is_from(version: str, minor: int) -> bool:
    return int(version.split(".")[1]) >= minor


def _bytes(lines: list[str]) -> bytes:
    # What we say is ASCII; names of applications are echoed, and may be of any character set.
    return ("\r".join(lines) + "\r").encode("ascii", "replace")
