"""Associations that ended, and those that were refused, from the log."""

from __future__ import annotations

from collections.abc import Collection

from gantry.common.errors import UndecodableEvent
from gantry.common.events import TOPICS, AssociationEnded, AssociationRefused, StudyDelivered, decode
from gantry.common.ports.log import EventLog
from gantry.common.statuses import is_failure
from gantry.common.telemetry.traces import trace_id

_TOPIC = TOPICS[AssociationEnded].name
Recorded = AssociationEnded | AssociationRefused


def refused_something(record: Recorded) -> bool:
    """Whether the peer did not get what it wanted: no association, a refused request, or an association cut short."""
    if isinstance(record, AssociationRefused):
        return True
    return record.outcome != "released" or any(is_failure(answer.status) for answer in record.answers)


def at(record: Recorded) -> int:
    """When it ended or was refused, in microseconds since the epoch."""
    return record.at if isinstance(record, AssociationRefused) else record.ended_at


async def associations(
    log: EventLog, since_us: int, ae_title: str | None = None, *, refused: bool = False, most: int = 1000
) -> list[Recorded]:
    """The last `most` that ended since a time, the oldest first; of one calling AE title where it is given, with
    `refused` only those in which something was. Raises `DependencyUnavailable`."""
    found: dict[Recorded, None] = {}
    async for record in log.replay(_TOPIC, since_us):
        if ae_title is not None and record.key != ae_title:
            continue
        event = _decoded(record.payload)
        if event is None or at(event) < since_us or (refused and not refused_something(event)):
            continue
        found[event] = None  # one that was appended twice is listed once
        if len(found) > most:
            del found[next(iter(found))]
    return sorted(found, key=at)


async def by_trace(log: EventLog, since_us: int, traces: Collection[str]) -> dict[str, AssociationEnded]:
    """The associations of some traces (32 digits), as far as they are recorded and over."""
    found: dict[str, AssociationEnded] = {}
    async for record in log.replay(_TOPIC, since_us):
        event = _decoded(record.payload)
        if isinstance(event, AssociationEnded) and trace_id(event.trace) in traces:
            found[trace_id(event.trace)] = event
            if len(found) == len(traces):
                break
    return found


async def deliveries(log: EventLog, since_us: int, study: str) -> list[StudyDelivered]:
    """What was delivered of a study since a time, in order. Raises `DependencyUnavailable`."""
    found: dict[StudyDelivered, None] = {}
    async for record in log.replay(_TOPIC, since_us):
        try:
            event = decode(record.payload)
        except UndecodableEvent:
            continue
        if isinstance(event, StudyDelivered) and event.study_instance_uid == study:
            found[event] = None
    return sorted(found, key=lambda one: one.at)


def _decoded(payload: bytes) -> Recorded | None:
    try:
        event = decode(payload)
    except UndecodableEvent:
        return None
    return event if isinstance(event, Recorded) else None
