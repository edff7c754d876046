"""The decisions of events about receipts, as an index applies them."""

from __future__ import annotations

from collections.abc import Iterable

from gantry.common.events import Event, InstancesMovedBack, ObjectsRelocated
from gantry.common.lifecycle import Fating, Place, fate_of, moved_back, successor
from gantry.common.ports.index import Decision, InstanceKey, Relocation


def decisions_of(events: Iterable[Event]) -> list[Decision]:
    """A decision for each receipt that an event names, and for those that moves derived from it."""
    found: list[Decision] = []
    for event in events:
        if not isinstance(event, Fating):
            continue
        for one in event.receipts:
            key = InstanceKey(event.study_instance_uid, one.series_instance_uid, one.sop_instance_uid)
            found.append(Decision(event.partition, key, one.receipt, fate_of(event)))
            if isinstance(event, InstancesMovedBack):
                there = InstanceKey(event.into_study, event.into_series, one.sop_instance_uid)
                receipt = successor(one.receipt, event.move)
                found.append(Decision(event.partition, there, receipt, moved_back(event.move, event.at)))
    return found


def relocations_of(events: Iterable[Event]) -> list[Relocation]:
    """The store of the object, for each receipt that an event names."""
    return [
        Relocation(
            event.partition,
            InstanceKey(event.study_instance_uid, one.series_instance_uid, one.sop_instance_uid),
            one.receipt,
            Place(event.at, event.store),
        )
        for event in events
        if isinstance(event, ObjectsRelocated)
        for one in event.receipts
    ]
