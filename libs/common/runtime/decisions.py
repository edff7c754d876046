"""What events decide about receipts, as an index is told of it."""

from __future__ import annotations

from collections.abc import Iterable

from gantry.common.events import Event, InstancesMovedBack
from gantry.common.lifecycle import Fating, fate_of, moved_back, successor
from gantry.common.ports.index import Decision, InstanceKey


def decisions_of(events: Iterable[Event]) -> list[Decision]:
    """A decision for each receipt that an event names, and for those that followed from it by a move."""
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
