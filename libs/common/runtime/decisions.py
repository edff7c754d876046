"""The decisions of events about receipts, as an index applies them."""

from __future__ import annotations

from collections.abc import Iterable

from gantry.common.events import Event, InstancesMovedBack, ObjectsRelocated
from gantry.common.lifecycle import DecidingEvent, Place, deletion_state_of, moved_back, successor
from gantry.common.ports.index import Decision, InstanceKey, Relocation


def decisions_of(events: Iterable[Event]) -> list[Decision]:
    """A decision for each receipt that an event names, and for those that moves derived from it."""
    decisions: list[Decision] = []
    for event in events:
        if not isinstance(event, DecidingEvent):
            continue
        for reference in event.receipts:
            key = InstanceKey(event.study_instance_uid, reference.series_instance_uid, reference.sop_instance_uid)
            decisions.append(Decision(event.partition, key, reference.receipt, deletion_state_of(event)))
            if isinstance(event, InstancesMovedBack):
                target = InstanceKey(event.into_study, event.into_series, reference.sop_instance_uid)
                receipt = successor(reference.receipt, event.move)
                decisions.append(Decision(event.partition, target, receipt, moved_back(event.move, event.at)))
    return decisions


def relocations_of(events: Iterable[Event]) -> list[Relocation]:
    """The store of the object, for each receipt that an event names."""
    return [
        Relocation(
            event.partition,
            InstanceKey(event.study_instance_uid, reference.series_instance_uid, reference.sop_instance_uid),
            reference.receipt,
            Place(event.at, event.store),
        )
        for event in events
        if isinstance(event, ObjectsRelocated)
        for reference in event.receipts
    ]
