"""What a message asks for: its character set, header and type are looked at first, then its content. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from blake3 import blake3

from gantry.common.hl7.actions import Action
from gantry.common.hl7.charsets import decoded, first_line
from gantry.common.hl7.message import Hl7Message, parse
from gantry.common.hl7.orders import MessageOrigin, order_actions
from gantry.common.hl7.patients import patient_actions
from gantry.common.hl7.problems import ErrorCode, MessageProblem, MessageRefused, Spot
from gantry.common.hl7.profiles import SenderProfile, profile_for
from gantry.common.hl7.reports import REPORT, report_actions
from gantry.common.hl7.scheduling import appointment_actions

ORDERS = ("ORM^O01", "OMG^O19", "OMI^O23")
_TYPES = ("ADT", "SIU", "ORU")
_ATTEMPT = re.compile(r"(?<=^hl7-[0-9a-f]{32})\.\d+")
_LONGEST_NAME = 199
"""Characters of MSH-10, and of MSH-3 and MSH-4 together."""
_LONGEST_HEADER = 1 << 16
_BEFORE = b"\xef\xbb\xbf\r\n\0 "
"""What may stand before a message, by a sender's mistake."""


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message, the bytes that it came in, and how often these were refused before."""

    message: Hl7Message
    raw: bytes
    attempts: int = 0

    @property
    def digest(self) -> str:
        """Of the bytes."""
        return blake3(self.raw).hexdigest(length=20)

    @property
    def change(self) -> str:
        """What the changes that it asks for are called: the same for the same bytes of the same sender, until they are
        refused."""
        name = "\0".join((self.message.source, self.message.control_id, self.digest))
        return f"hl7-{blake3(name.encode()).hexdigest(length=16)}.{self.attempts}"


def is_first_attempt(change: str) -> bool:
    """Whether the message of a change was not refused before."""
    match = _ATTEMPT.search(change)
    return match is None or match[0] == ".0"


def is_same_but_for_attempt(change: str, other: str) -> bool:
    """Whether two changes are one of the same message, tried at different times."""
    return _ATTEMPT.sub("", change, count=1) == _ATTEMPT.sub("", other, count=1)


def read(raw: bytes, profiles: Sequence[SenderProfile]) -> ReceivedMessage:
    """The message in some bytes. Raises `MessageRefused`, a rejection where the bytes are no message."""
    raw = raw.lstrip(_BEFORE)
    header = parse(first_line(raw[:_LONGEST_HEADER]).decode("latin-1"))
    charset = profile_for(profiles, header).charset
    message = parse(decoded(raw, charset))
    _require_header(message)
    return ReceivedMessage(message, raw)


def header_of(raw: bytes) -> Hl7Message | None:
    """The header alone, of a message that cannot be read as a whole, so that it can be answered; None for what has
    none."""
    try:
        return parse(first_line(raw.lstrip(_BEFORE)[:_LONGEST_HEADER]).decode("ascii", "replace"))
    except MessageRefused:
        return None


def plan(received: ReceivedMessage, profiles: Sequence[SenderProfile], trace: str = "") -> list[Action]:
    """What a message asks for. Raises `MessageRefused`, a rejection where its type or processing ID is not taken."""
    message = received.message
    profile = profile_for(profiles, message)
    if message.header.text(11, 1) not in profile.processing:
        raise _rejected(ErrorCode.UNSUPPORTED_PROCESSING_ID, 11, "this processing ID is not taken: see the profile")
    if message.kind in ORDERS:
        return order_actions(message, profile, MessageOrigin.of(message, received.change, trace))
    if message.kind == REPORT:
        return report_actions(message, profile, MessageOrigin.of(message, received.change, trace))
    if message.kind.startswith("ADT^"):
        return patient_actions(message, profile)
    if message.kind.startswith("SIU^"):
        return appointment_actions(message, profile, MessageOrigin.of(message, received.change, trace))
    known = {kind.partition("^")[0] for kind in ORDERS} | set(_TYPES)
    code = ErrorCode.UNSUPPORTED_EVENT if message.header.text(9) in known else ErrorCode.UNSUPPORTED_MESSAGE_TYPE
    raise _rejected(code, 9, "this message is not taken: see docs/hl7.md for those that are")


def _require_header(message: Hl7Message) -> None:
    """Raises `MessageRefused` where a message cannot be told apart from others, or is of another version."""
    if not message.control_id:
        raise _rejected(ErrorCode.REQUIRED_FIELD_MISSING, 10, "a message control ID is needed")
    if max(len(message.control_id), len(message.source)) > _LONGEST_NAME:
        raise _rejected(ErrorCode.DATA_TYPE, 10, f"names of more than {_LONGEST_NAME} characters")
    if not (message.control_id + message.source).isprintable():
        raise _rejected(ErrorCode.DATA_TYPE, 10, "names with control characters")
    if not message.version.startswith("2."):
        raise _rejected(ErrorCode.UNSUPPORTED_VERSION, 12, "HL7 version 2.x is taken")


def _rejected(code: ErrorCode, field: int, text: str) -> MessageRefused:
    return MessageRefused(MessageProblem(code, text, Spot("MSH", field=field)), rejected=True)
