"""Messages of modalities about performed procedure steps: who is notified, and what an answer means (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from blake3 import blake3

from gantry.common.dicom.standard.tags import PERFORMED_PROCEDURE_STEP_STATUS
from gantry.common.events import (
    OrderErased,
    ProcedureStepCreated,
    ProcedureStepErased,
    ProcedureStepSet,
    RouteRequested,
)
from gantry.common.lifecycle.routes import STEP, STEP_EVENT
from gantry.common.orders import PerformedState, first, unpack
from gantry.common.statuses import (
    DUPLICATE_SOP_INSTANCE,
    PERFORMED_PROCEDURE_STEP_IS_FINAL,
    PROCESSING_FAILURE,
    SUCCESS,
    is_warning,
)

StepMessage = ProcedureStepCreated | ProcedureStepSet
StepChange = StepMessage | ProcedureStepErased | OrderErased
_AE = "ae "


class StepEventType(IntEnum):
    """Event Type IDs of the notification SOP class (PS3.4 table F.9.2-1)."""

    IN_PROGRESS = 1
    COMPLETED = 2
    DISCONTINUED = 3
    UPDATED = 4
    DELETED = 5


FINAL = frozenset((StepEventType.COMPLETED, StepEventType.DISCONTINUED))
_OF_STATE = {
    PerformedState.COMPLETED.value: StepEventType.COMPLETED,
    PerformedState.DISCONTINUED.value: StepEventType.DISCONTINUED,
}


@dataclass(frozen=True, slots=True)
class StepRule:
    """Messages of one of `sources` (of any sender, if there are none) about a step are forwarded to the AE titles `to`;
    those in `notify` get an event."""

    name: str
    sources: frozenset[str]
    to: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()


def event_of(message: StepMessage) -> StepEventType:
    """The effect of an accepted message, with its attributes, on its step."""
    if isinstance(message, ProcedureStepCreated):
        return StepEventType.IN_PROGRESS
    status = first(unpack(message.attributes), PERFORMED_PROCEDURE_STEP_STATUS)
    return _OF_STATE.get(status, StepEventType.UPDATED)


def step_requests(
    change: StepChange, kind: StepEventType, rules: Iterable[StepRule], now_us: int
) -> Iterator[RouteRequested]:
    """The routes of a change by rules, each destination once; the attributes of a message lie in an object. Nothing
    goes to the AE title that sent it: two archives that forward to each other would never stop. All that are notified
    learn of an erasure, whoever performed the step."""
    source = change.source.removeprefix(_AE) if change.source.startswith(_AE) else ""
    message = change if isinstance(change, StepMessage) else None
    about = [rule for rule in rules if message is None or not rule.sources or source in rule.sources]
    wanted: dict[tuple[str, str], str] = {}
    for rule in about:
        wanted |= {
            (destination, STEP_EVENT): rule.name
            for destination in rule.notify
            if (destination, STEP_EVENT) not in wanted
        }
        if message is not None:
            wanted |= {(destination, STEP): rule.name for destination in rule.to if (destination, STEP) not in wanted}
    for (destination, event_kind), rule_name in wanted.items():
        if destination == source:
            continue
        for uid in steps_of(change):
            parts = change.partition, uid, change.change, destination, event_kind
            sent = message if event_kind == STEP else None
            yield RouteRequested(
                *(change.partition, change.trace, uid, blake3("\0".join(parts).encode()).hexdigest()[:32], rule_name),
                destination=destination,
                # An earlier release, which does not know these kinds, finds nothing to send between these receipts.
                first_receipt="",
                last_receipt="",
                at=now_us,
                kind=event_kind,
                requestor=source,
                step_event=int(kind),
                values_key=sent.values_key if sent else "",
                values_size=sent.values_size if sent else 0,
                values_digest=sent.values_digest if sent else "",
            )


def steps_of(change: StepChange) -> Sequence[str]:
    """The SOP Instance UIDs of the steps that a change is about."""
    return change.performed if isinstance(change, OrderErased) else (change.sop_instance_uid,)


def is_taken(route: RouteRequested, status: int, error_id: object = 0) -> bool:
    """Whether a destination has the message of a route, by its answer. The message is sent again if an answer did not
    arrive, so the destination may answer that it has it already (PS3.4 F.7.2.1.3, F.7.2.2.3)."""
    if status == SUCCESS or is_warning(status):
        return True
    if route.kind != STEP:
        return False
    if route.step_event == StepEventType.IN_PROGRESS:
        return status == DUPLICATE_SOP_INSTANCE
    was_final = status == PROCESSING_FAILURE and error_id == PERFORMED_PROCEDURE_STEP_IS_FINAL
    return was_final and route.step_event in FINAL
