"""Associations that ended, and those that were refused, from the log."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from gantry.common.errors import UndecodableEvent
from gantry.common.events import TOPICS, AssociationEnded, AssociationRefused, StudyDelivered, decode
from gantry.common.ports.log import EventLog
from gantry.common.statuses import is_failure
from gantry.common.telemetry.traces import trace_id

_TOPIC = TOPICS[AssociationEnded].name
Ended = AssociationEnded | AssociationRefused


def refused_something(record: Ended) -> bool:
    """Whether the peer did not get what it wanted: no association, a refused request, or an association cut short."""
    if isinstance(record, AssociationRefused):
        return True
    return record.outcome != "released" or any(is_failure(answer.status) for answer in record.answers)


def at(record: Ended) -> int:
    """When it ended or was refused, in microseconds since the epoch."""
    return record.at if isinstance(record, AssociationRefused) else record.ended_at


async def associations(
    log: EventLog, since_us: int, ae_title: str | None = None, *, refused: bool = False, most: int = 1000
) -> list[Ended]:
    """The last `most` that ended since a time, the oldest first; of one calling AE title where it is given, with
    `refused` only those in which something was. Raises `DependencyUnavailable`."""
    events: dict[Ended, None] = {}
    async for record in log.replay(_TOPIC, since_us):
        if ae_title is not None and record.key != ae_title:
            continue
        event = _decoded(record.payload)
        if event is None or at(event) < since_us or (refused and not refused_something(event)):
            continue
        events[event] = None  # one that was appended twice is listed once
        if len(events) > most:
            del events[next(iter(events))]
    return sorted(events, key=at)


@dataclass(slots=True)
class Recorded:
    """What one pass over the topic found: associations by trace (32 digits), and deliveries by study, in order."""

    ended: dict[str, AssociationEnded] = field(default_factory=dict)
    delivered: dict[str, list[StudyDelivered]] = field(default_factory=dict)


async def recorded(log: EventLog, since_us: int, traces: Collection[str], studies: Collection[str]) -> Recorded:
    """The associations of these traces, as far as they are over, and what was delivered of these studies, since a time.
    Raises `DependencyUnavailable`."""
    history = Recorded()
    async for record in log.replay(_TOPIC, since_us):
        try:
            event = decode(record.payload)
        except UndecodableEvent:
            continue  # of a newer release
        if isinstance(event, AssociationEnded) and (trace := trace_id(event.trace)) in traces:
            history.ended[trace] = event
        elif isinstance(event, StudyDelivered) and event.study_instance_uid in studies:
            known = history.delivered.setdefault(event.study_instance_uid, [])
            if event not in known:
                known.append(event)
    for deliveries in history.delivered.values():
        deliveries.sort(key=lambda delivery: delivery.at)
    return history


def _decoded(payload: bytes) -> Ended | None:
    try:
        event = decode(payload)
    except UndecodableEvent:
        return None
    return event if isinstance(event, Ended) else None
