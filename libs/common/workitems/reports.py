"""What subscribers are told of what happened to a workitem (PS3.4 CC.2.4, pure)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.events import (
    WorkitemCancelRequested,
    WorkitemCreated,
    WorkitemErased,
    WorkitemSet,
    WorkitemStateRequested,
    WorkitemSubscribed,
)
from gantry.common.orders import unpack
from gantry.common.workitems.fold import WorkitemEvent
from gantry.common.workitems.model import (
    PROCEDURE_STEP_STATE,
    PROGRESS,
    WHY_DISCONTINUED,
    Attributes,
    Workitem,
    WorkitemState,
)

READINESS = TAGS["InputReadinessState"]
REQUESTING_AE = TAGS["RequestingAE"]


class EventType(IntEnum):
    """Event Type IDs of table CC.2.4-1. 4, SCP Status Change, is never sent: the log goes on where it was."""

    STATE = 1
    CANCEL_REQUESTED = 2
    PROGRESS = 3
    ASSIGNED = 5


INFORMATION: dict[EventType, tuple[int, ...]] = {
    EventType.STATE: (PROCEDURE_STEP_STATE, READINESS),
    EventType.CANCEL_REQUESTED: (
        TAGS["ReasonForCancellation"],
        WHY_DISCONTINUED,
        TAGS["ContactURI"],
        TAGS["ContactDisplayName"],
    ),
    EventType.PROGRESS: (PROGRESS,),
    EventType.ASSIGNED: (TAGS["ScheduledStationNameCodeSequence"], TAGS["ScheduledHumanPerformersSequence"]),
}
"""What is told with each type; with a cancellation that is requested also who requests it."""


@dataclass(frozen=True, slots=True)
class WorkitemReport:
    """One event: the Event Type ID, and the event information."""

    type: EventType
    information: Attributes


def reports_of(event: WorkitemEvent | WorkitemSubscribed, workitem: Workitem) -> list[WorkitemReport]:
    """The reports on an event that was accepted with success, which its values are in; `workitem` is as it stands now,
    which may be later. Whoever subscribes to a workitem is told how it stands."""
    if isinstance(event, WorkitemErased):
        return []
    if isinstance(event, WorkitemSubscribed):
        return [_state(workitem.state, workitem.attributes)]
    if isinstance(event, WorkitemCreated):
        return [_state(WorkitemState.SCHEDULED, unpack(event.attributes))]
    if isinstance(event, WorkitemStateRequested):
        return [_state(WorkitemState(event.state), workitem.attributes)]
    attributes = unpack(event.attributes)
    if isinstance(event, WorkitemCancelRequested):
        # What nobody had claimed, and so has no lock, was cancelled by it.
        if not workitem.lock:
            return [_state(WorkitemState.CANCELED, workitem.attributes)]
        requester = {REQUESTING_AE: [event.source.partition(" ")[2][:16]]}
        return [
            WorkitemReport(
                EventType.CANCEL_REQUESTED, {**requester, **_information_of(attributes, EventType.CANCEL_REQUESTED)}
            )
        ]
    reports = [
        WorkitemReport(kind, _information_of(attributes, kind))
        for kind in (EventType.PROGRESS, EventType.ASSIGNED)
        if _information_of(attributes, kind)
    ]
    if READINESS in attributes:
        state = WorkitemState.IN_PROGRESS if _is_claimed(event) else WorkitemState.SCHEDULED
        reports.insert(0, _state(state, attributes))
    return reports


def _is_claimed(event: WorkitemSet) -> bool:
    return bool(event.lock)


def _state(state: WorkitemState, attributes: Attributes) -> WorkitemReport:
    readiness = list(attributes.get(READINESS) or ())
    return WorkitemReport(EventType.STATE, {PROCEDURE_STEP_STATE: [state.value], READINESS: readiness})


def _information_of(attributes: Attributes, kind: EventType) -> dict[int, list[Any]]:
    return {tag: attributes[tag] for tag in INFORMATION[kind] if attributes.get(tag)}
