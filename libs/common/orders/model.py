"""An order as it stands: its attributes, and those of its Scheduled Procedure Steps (PS3.3 C.4.10 to C.4.12)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgpack

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.standard.tags import SCHEDULED_PROCEDURE_STEP_SEQUENCE
from gantry.common.errors import NotUnderstood

Attributes = Mapping[int, list[Any]]
"""Values of the DICOM JSON model by tag, the items of a sequence likewise."""
Changes = Mapping[int, list[Any] | None]
"""Attributes to set by tag; None takes one away."""


@dataclass(frozen=True, slots=True)
class ScheduledStep:
    """One item of Scheduled Procedure Step Sequence, known by its Scheduled Procedure Step ID."""

    id: str
    attributes: Attributes
    cancelled: bool = False


class ReportStatus(StrEnum):
    """How far a report is, as FHIR calls it (http://hl7.org/fhir/diagnostic-report-status)."""

    PRELIMINARY = "preliminary"
    FINAL = "final"
    CORRECTED = "corrected"
    CANCELLED = "cancelled"
    """It was withdrawn: there are no results."""


@dataclass(frozen=True, slots=True)
class ResultReport:
    """The report on what was made for an order. `attributes` are what it says: Text Value, Verifying Observer Name,
    Observation DateTime, Requested Procedure Description. It came at a time (microseconds), from a `source`, in a
    `message`; `studies` are those that it is about, as far as they were known then."""

    status: ReportStatus
    attributes: Attributes
    at: int
    source: str
    message: str
    studies: tuple[str, ...] = ()

    def may_follow(self, before: ResultReport | None) -> bool:
        """Whether it may take the place of one that came before: a draft does not take that of a final report."""
        return before is None or may_follow(before.status, self.status)


def may_follow(before: ReportStatus, status: ReportStatus) -> bool:
    """Whether a report may have a status after another one: a final one is corrected, or withdrawn."""
    return status is not ReportStatus.PRELIMINARY or before in (ReportStatus.PRELIMINARY, ReportStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class Order:
    """One Imaging Service Request with one Requested Procedure, known by its key. `attributes` are without the steps;
    `steps` are by Scheduled Procedure Step ID, in their order."""

    partition: str
    key: str
    attributes: Attributes
    steps: Mapping[str, ScheduledStep] = field(default_factory=dict)
    cancelled: bool = False
    reason: str = ""
    """Why it was cancelled."""
    linked: Mapping[str, str] = field(default_factory=dict)
    """The studies that were made for it, whatever they say, each with the correction that gives it the attributes of
    the order."""
    report: ResultReport | None = None
    """The last one that came."""

    @property
    def whole(self) -> dict[int, list[Any]]:
        """All attributes, the steps among them."""
        items = [dict(step.attributes) for step in self.steps.values()]
        return {**self.attributes, SCHEDULED_PROCEDURE_STEP_SEQUENCE: items}


def first(attributes: Attributes, tag: int) -> str:
    """The first value of an attribute as text, "" where it has none."""
    values = attributes.get(tag)
    return text_of(values[0]) if values else ""


def items(attributes: Attributes, tag: int) -> list[Attributes]:
    """The items of a sequence; none for what is no sequence."""
    return [item for item in attributes.get(tag) or () if isinstance(item, dict)]


def pack(attributes: Mapping[Any, Any]) -> bytes:
    """Attributes, or changes by step, as an event carries them."""
    packed: bytes = msgpack.packb({key: attributes[key] for key in sorted(attributes)})
    return packed


def unpack(packed: bytes) -> dict[Any, Any]:
    """The other way round. Raises `NotUnderstood` for what `pack` did not make."""
    try:
        attributes = msgpack.unpackb(packed, strict_map_key=False)
    except Exception as error:  # msgpack raises what it likes for bytes that are none of its own
        raise NotUnderstood("packed attributes cannot be read") from error
    if not isinstance(attributes, dict):
        raise NotUnderstood("packed attributes are no attributes")
    return attributes
