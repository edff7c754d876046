"""What is asked of orders, and what the fold says to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.orders.model import Attributes, Changes, ReportStatus
from gantry.common.statuses import SUCCESS

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order as it is placed under its key (`order_key`), with its steps in Scheduled Procedure Step Sequence; what
    was placed under the key before is replaced. `source` says who asks ("hl7 RIS^HOSPITAL"), `message` in what (the
    control ID of HL7). `change` names it: the same name twice is one change; without one it gets one."""

    order: str
    attributes: Attributes
    source: str
    message: str = ""
    change: str = ""
    trace: str = ""
    partition: str = DEFAULT_PARTITION


@dataclass(frozen=True, slots=True)
class OrderChange:
    """Attributes to set, and those of steps by Scheduled Procedure Step ID: only what is named is changed. None takes
    an attribute, or a whole step, away; a step that is not there yet is added."""

    order: str
    attributes: Changes
    source: str
    steps: Mapping[str, Changes | None] = field(default_factory=dict)
    message: str = ""
    change: str = ""
    trace: str = ""
    partition: str = DEFAULT_PARTITION


@dataclass(frozen=True, slots=True)
class OrderCancellation:
    """Steps, by Scheduled Procedure Step ID, that will not be performed; the whole order where there are none."""

    order: str
    source: str
    steps: tuple[str, ...] = ()
    reason: str = ""
    message: str = ""
    change: str = ""
    trace: str = ""
    partition: str = DEFAULT_PARTITION


@dataclass(frozen=True, slots=True)
class OrderReport:
    """A report on what was made for an order, in the place of one that came before."""

    order: str
    status: ReportStatus
    attributes: Attributes
    source: str
    studies: tuple[str, ...] = ()
    message: str = ""
    change: str = ""
    trace: str = ""
    partition: str = DEFAULT_PARTITION


@dataclass(frozen=True, slots=True)
class OrderErasure:
    """All that was said of an order goes, with what these performed procedure steps (SOP Instance UIDs) said; unless
    something was asked of it after the change `known`."""

    order: str
    source: str
    known: str
    performed: tuple[str, ...] = ()
    reason: str = ""
    message: str = ""
    change: str = ""
    trace: str = ""
    partition: str = DEFAULT_PARTITION


@dataclass(frozen=True, slots=True)
class StudyLink:
    """A study that was made for an order. `correction` gives it the attributes of the order."""

    order: str
    study: str
    source: str
    correction: str
    reason: str = ""
    message: str = ""
    change: str = ""
    trace: str = ""
    partition: str = DEFAULT_PARTITION


@dataclass(frozen=True, slots=True)
class StudyUnlink:
    """One that was not."""

    order: str
    study: str
    source: str
    reason: str = ""
    message: str = ""
    change: str = ""
    trace: str = ""
    partition: str = DEFAULT_PARTITION


@dataclass(frozen=True, slots=True)
class Verdict(Generic[S]):
    """What the fold decided on one event: the same in every process, since all fold the log in its order. `state` is
    what stands after it, None where there is nothing; `reason` says why it was refused. `status` and `error_id` are
    what a modality is answered for a performed procedure step (PS3.4 F.7.2)."""

    accepted: bool
    reason: str
    state: S | None
    status: int = SUCCESS
    error_id: int = 0
