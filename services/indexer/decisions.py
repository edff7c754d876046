"""Decisions about receipts, studies and patients, taken from events and applied to an index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gantry.common.events import (
    Event,
    HoldPlaced,
    HoldReleased,
    InstanceStored,
    PatientHoldPlaced,
    PatientHoldReleased,
    StudyAccessed,
)
from gantry.common.lifecycle import ALIVE, holder_of
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import HoldChange, SearchIndex, StudyAccess
from gantry.common.runtime.decisions import decisions_of, relocations_of
from gantry.services.indexer.corrections import changes_of
from gantry.services.indexer.moves import apply_moves


def holds_of(events: Iterable[Event]) -> list[HoldChange]:
    """The holds that events place and release, on studies and patients."""
    return [change for event in events if (change := _hold_change(event)) is not None]


def _hold_change(event: Event) -> HoldChange | None:
    match event:
        case HoldPlaced() | HoldReleased():
            return HoldChange(event.partition, event.study_instance_uid, event.hold, isinstance(event, HoldPlaced))
        case PatientHoldPlaced() | PatientHoldReleased():
            return HoldChange(
                event.partition, holder_of(event.patient), event.hold, isinstance(event, PatientHoldPlaced)
            )
    return None


def accesses_of(events: Iterable[Event]) -> list[StudyAccess]:
    """When studies were accessed."""
    return [
        StudyAccess(event.partition, event.study_instance_uid, event.at)
        for event in events
        if isinstance(event, StudyAccessed)
    ]


async def tell(objects: BlobStore, index: SearchIndex, events: Iterable[Event]) -> None:
    """Apply the decisions of events about receipts, holds, corrections, accesses, relocations and moves. Passes on the
    errors of the stores."""
    facts = list(events)
    await index.decide(decisions_of(facts))
    await index.hold(holds_of(facts))
    await index.correct(await changes_of(objects, facts))
    await index.note_accesses(accesses_of(facts))
    await index.relocate(relocations_of(facts))
    await apply_moves(objects, index, facts)


async def without_collected(index: SearchIndex, events: Sequence[InstanceStored]) -> list[bool]:
    """For each event, whether it is to be applied. Events of collected objects are not: the object is gone, and its
    header with it."""
    by_partition: dict[str, list[str]] = {}
    for event in events:
        if event.header is None:
            by_partition.setdefault(event.partition, []).append(event.receipt)
    deletion_states = {
        partition: await index.deletion_states(partition, receipts) for partition, receipts in by_partition.items()
    }
    return [not deletion_states.get(event.partition, {}).get(event.receipt, ALIVE).collected for event in events]
