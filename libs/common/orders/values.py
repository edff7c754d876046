"""What an event of an order, a procedure step or a workitem says of a patient, apart from the event (pure).

An event lies on the log and in sealed segments for ever; a name must not. So the attributes lie in an object of their
own, which the event names and whose digest it has, and an event whose object is gone says nothing any more.
"""

from __future__ import annotations

from dataclasses import replace

import msgpack
from blake3 import blake3

from gantry.common.errors import NotUnderstood
from gantry.common.events import (
    OrderChanged,
    OrderPlaced,
    OrderReported,
    ProcedureStepCreated,
    ProcedureStepSet,
    WorkitemCancelRequested,
    WorkitemCreated,
    WorkitemSet,
    WorkitemSubscribed,
)
from gantry.common.ids import Receipt

ValuedEvent = (
    OrderPlaced
    | OrderChanged
    | OrderReported
    | ProcedureStepCreated
    | ProcedureStepSet
    | WorkitemCreated
    | WorkitemSet
    | WorkitemCancelRequested
    | WorkitemSubscribed
)
ERASED = "what it said is erased"
"""Why an event whose object is gone is refused: behind it on the log its order was erased."""


def values_in(event: ValuedEvent) -> bytes:
    """The content of the object: what an event says, which is written into none."""
    steps = event.step_attributes if isinstance(event, OrderChanged) else b""
    packed: bytes = msgpack.packb([event.attributes, steps])
    return packed


def without_values(event: ValuedEvent, key: str, content: bytes) -> ValuedEvent:
    """The event as it is appended: its values lie under a key, as this content."""
    bare = replace(event, attributes=b"", values_key=key, values_size=len(content), values_digest=_digest(content))
    return replace(bare, step_attributes=b"") if isinstance(bare, OrderChanged) else bare


def with_values(event: ValuedEvent, content: bytes) -> ValuedEvent:
    """The event with what its object says. Raises `NotUnderstood` for other bytes than were written."""
    if _digest(content) != event.values_digest:
        raise NotUnderstood("not the values that the event names")
    attributes, steps = msgpack.unpackb(content)
    if isinstance(event, OrderChanged):
        return replace(event, attributes=attributes, step_attributes=steps)
    return replace(event, attributes=attributes)


def is_apart(event: object) -> bool:
    """Whether what an event says lies in an object that has not been read, or is gone."""
    return isinstance(event, ValuedEvent) and bool(event.values_key) and not event.attributes


def values_key_of(event: ValuedEvent) -> str:
    """Where what an event says lies; of one that an earlier release wrote, where it lies once it was sealed."""
    if event.values_key:
        return event.values_key
    digest = blake3(event.change.encode())
    digest.update(values_in(event))
    receipt = Receipt(f"{event.at // 1000:012x}{digest.hexdigest()[:20]}")
    return receipt.order_values_key(event.partition)


def _digest(content: bytes) -> str:
    return f"blake3:{blake3(content).hexdigest()}"
