"""Indications of `UpperLayer` to the layer above (PS3.8 table 9-1 and 9.1): primitives received, and pieces of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gantry.common.ul.pdu import AssociateAccept, AssociateReject, AssociateRequest


class Fragment(NamedTuple):
    """A piece of a PDV (PS3.8 9.3.5.1). `is_end` is true on the piece that ends the last fragment of its command or
    data set. `data` is a view of the receive buffer, valid until the next `get_buffer`."""

    context_id: int
    is_command: bool
    is_end: bool
    data: memoryview


@dataclass(frozen=True, slots=True)
class Requested:
    """A-ASSOCIATE indication: answer with `accept` or `reject`."""

    request: AssociateRequest


@dataclass(frozen=True, slots=True)
class Accepted:
    """A-ASSOCIATE confirmation, accepted."""

    accept: AssociateAccept


@dataclass(frozen=True, slots=True)
class Rejected:
    """A-ASSOCIATE confirmation, rejected."""

    reject: AssociateReject


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """A-RELEASE indication: finish current operations, then `answer_release`."""


@dataclass(frozen=True, slots=True)
class Released:
    """A-RELEASE confirmation."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """A-ABORT or A-P-ABORT indication. `by_peer`: an A-ABORT PDU was received; `why` is a reason for the log."""

    source: int
    reason: int
    by_peer: bool
    why: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection ended as expected."""


Indication = Fragment | Requested | Accepted | Rejected | ReleaseRequested | Released | Aborted | Closed
