"""Orders, and the studies that are linked to them."""

from __future__ import annotations

from dataclasses import dataclass, field

from gantry.common.events.schema.fields import OMITTED


@dataclass(frozen=True, slots=True)
class OrderPlaced:
    """An order (one Imaging Service Request with one Requested Procedure and its Scheduled Procedure Steps) was placed
    under its key, in the place of what was placed under it before. `attributes` are its attributes by tag, packed
    (`gantry.common.orders.pack`), the steps in Scheduled Procedure Step Sequence. `change` names this event, `source`
    says who sent it ("hl7 RIS^HOSPITAL", "rest NAME", "ae TITLE") and `message` in what (the control ID of HL7, or
    ""). Whether it was accepted is decided by the fold (`gantry.common.orders`).

    What names a patient can be erased: the attributes lie in an object of their own, `values_key`, of so many bytes and
    with this digest (`gantry.common.orders.values`), and are b"" here. Earlier releases wrote them into the event."""

    partition: str
    trace: str
    order: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    values_key: str = field(default="", metadata=OMITTED)
    values_size: int = field(default=0, metadata=OMITTED)
    values_digest: str = field(default="", metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """Attributes of an order, and of its steps by Scheduled Procedure Step ID (`step_attributes`), are to be set; None
    takes an attribute, or a step, away. Both are packed, in an object as those of `OrderPlaced` are."""

    partition: str
    trace: str
    order: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    step_attributes: bytes
    values_key: str = field(default="", metadata=OMITTED)
    values_size: int = field(default=0, metadata=OMITTED)
    values_digest: str = field(default="", metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """The steps with these Scheduled Procedure Step IDs will not be performed; the whole order where there are none."""

    partition: str
    trace: str
    order: str
    change: str
    source: str
    message: str
    at: int
    steps: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class StudyLinked:
    """The images of a study were made for this order, whatever they say themselves (IHE Patient Information
    Reconciliation). `correction` is the one that gives the study the attributes of the order."""

    partition: str
    trace: str
    order: str
    change: str
    source: str
    message: str
    at: int
    study_instance_uid: str
    correction: str
    reason: str


@dataclass(frozen=True, slots=True)
class StudyUnlinked:
    """They were not, after all."""

    partition: str
    trace: str
    order: str
    change: str
    source: str
    message: str
    at: int
    study_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderReported:
    """A report on what was made for an order came, in the place of one that came before: its `status` is preliminary,
    final, corrected or cancelled, as in FHIR. It is about these `studies` (Study Instance UIDs, as far as they were
    known then). What it says, and who says it, is in `attributes`, in an object as those of `OrderPlaced` are."""

    partition: str
    trace: str
    order: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    status: str
    studies: tuple[str, ...]
    values_key: str = field(default="", metadata=OMITTED)
    values_size: int = field(default=0, metadata=OMITTED)
    values_digest: str = field(default="", metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class OrderErased:
    """All that was said of an order is erased, for `reason`, with what these performed procedure steps (SOP Instance
    UIDs) said; unless something was asked of it after the change `known`. Whoever follows the topic removes the objects
    with their values, and drops what it knows."""

    partition: str
    trace: str
    order: str
    change: str
    source: str
    message: str
    at: int
    known: str
    performed: tuple[str, ...]
    reason: str
