"""What an archive of a test was asked, and what it answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Operation(StrEnum):
    """The DIMSE services that an archive provides (PS3.7 9.1, 10.1)."""

    ECHO = "echo"
    STORE = "store"
    FIND = "find"
    GET = "get"
    MOVE = "move"
    COMMIT = "commit"
    """N-ACTION of the Storage Commitment Push Model."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request and its answer. `data` is the data set as it came: for a C-STORE the object, in `transfer_syntax_uid`
    and without Part 10 header; for the others the identifier. `status` is that of the final response, None where there
    was none (the association was aborted)."""

    operation: Operation
    calling_ae_title: str
    called_ae_title: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data: bytes
    status: int | None
    association: int
    """`AssociationRecord.number` of where it came."""


@dataclass(slots=True)
class AssociationRecord:
    """One association that was asked for. `outcome` is "open", "released", "rejected", "aborted", "aborted by peer" or
    "lost"; `why` says it in words where it did not end well."""

    number: int
    calling_ae_title: str
    called_ae_title: str
    accepted: tuple[str, ...] = field(default=())
    """The abstract syntaxes for which a context was accepted."""
    max_pdu: int = 0
    """What the peer says it takes, in bytes; 0 for any length."""
    tls: bool = False
    outcome: str = "open"
    why: str = ""
