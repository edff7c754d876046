"""What is wrong with a message, and where: what becomes an ERR segment (HL7 v2.5 2.14.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ErrorCode(IntEnum):
    """HL7 table 0357, message error condition codes."""

    SEGMENT_SEQUENCE = 100
    REQUIRED_FIELD_MISSING = 101
    DATA_TYPE = 102
    TABLE_VALUE_NOT_FOUND = 103
    UNSUPPORTED_MESSAGE_TYPE = 200
    UNSUPPORTED_EVENT = 201
    UNSUPPORTED_PROCESSING_ID = 202
    UNSUPPORTED_VERSION = 203
    UNKNOWN_KEY = 204
    DUPLICATE_KEY = 205
    INTERNAL = 207

    @property
    def words(self) -> str:
        """As the table has it."""
        return _WORDS[self]


_WORDS = {
    ErrorCode.SEGMENT_SEQUENCE: "Segment sequence error",
    ErrorCode.REQUIRED_FIELD_MISSING: "Required field missing",
    ErrorCode.DATA_TYPE: "Data type error",
    ErrorCode.TABLE_VALUE_NOT_FOUND: "Table value not found",
    ErrorCode.UNSUPPORTED_MESSAGE_TYPE: "Unsupported message type",
    ErrorCode.UNSUPPORTED_EVENT: "Unsupported event code",
    ErrorCode.UNSUPPORTED_PROCESSING_ID: "Unsupported processing id",
    ErrorCode.UNSUPPORTED_VERSION: "Unsupported version id",
    ErrorCode.UNKNOWN_KEY: "Unknown key identifier",
    ErrorCode.DUPLICATE_KEY: "Duplicate key identifier",
    ErrorCode.INTERNAL: "Application internal error",
}


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a message: a segment, which one of that name, and a field and component of it; 0 is not said."""

    segment: str = ""
    occurrence: int = 1
    field: int = 0
    component: int = 0

    def __str__(self) -> str:
        """For a person: `PID-3.4`, `OBR(2)-4`."""
        occurrence = f"({self.occurrence})" if self.occurrence > 1 else ""
        field = f"-{self.field}" if self.field else ""
        component = f".{self.component}" if self.component else ""
        return f"{self.segment}{occurrence}{field}{component}"


@dataclass(frozen=True, slots=True)
class MessageProblem:
    """One thing that is wrong. `text` says what, and what to do, without repeating what the message says."""

    code: ErrorCode
    text: str
    spot: Spot = Spot()

    def __str__(self) -> str:
        """One line."""
        spot = str(self.spot)
        return f"{spot}: {self.text}" if spot else self.text


class MessageRefused(Exception):
    """A message that is not acted on; `problems` say why. `rejected` (AR) is not about its content: it is not kept for
    repair."""

    def __init__(self, *problems: MessageProblem, rejected: bool = False) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems
        self.rejected = rejected
