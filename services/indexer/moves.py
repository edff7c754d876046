"""Instances that were moved to another study: their receipts there, which are derived from the earlier ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.scan.layout import coercion_in, with_coercion
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.errors import EntryRefused, NotFound, NotUnderstood
from gantry.common.events import Event, InstancesMoved
from gantry.common.ids import Receipt
from gantry.common.lifecycle import Correction, DeletionState, corrected, successor, unpack_coercion
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import Applied, InstanceEntry, InstanceKey, Outcome, Relocation, SearchIndex
from gantry.common.runtime.corrections import read_values
from gantry.common.telemetry.logs import get_logger

logger = get_logger("indexer")


async def apply_moves(objects: BlobStore, index: SearchIndex, events: Iterable[Event]) -> None:
    """Apply the receipts that moves create, for objects that the index knows already. Raises
    `DependencyUnavailable`."""
    by_partition: dict[str, list[str]] = {}
    for event in events:
        if isinstance(event, InstancesMoved):
            by_partition.setdefault(event.partition, []).extend(reference.receipt for reference in event.receipts)
    for partition, receipts in by_partition.items():
        decided = await index.decided_receipts(partition, receipts)
        await _follow(
            objects,
            index,
            [(receipt.entry, receipt.deletion_state) for receipt in decided.values() if receipt.entry is not None],
        )


async def apply_moved(
    objects: BlobStore, index: SearchIndex, entries: Sequence[InstanceEntry], applied: Sequence[Applied]
) -> None:
    """The same for objects that the index learns of only now, after their moves. Raises `DependencyUnavailable`."""
    hidden: dict[str, list[InstanceEntry]] = {}
    for entry, result in zip(entries, applied, strict=True):
        if result.outcome is Outcome.DELETED:
            hidden.setdefault(entry.partition, []).append(entry)
    for partition, group in hidden.items():
        deletion_states = await index.deletion_states(partition, [entry.receipt for entry in group])
        await _follow(
            objects,
            index,
            [(entry, deletion_states[entry.receipt]) for entry in group if entry.receipt in deletion_states],
        )


async def _follow(objects: BlobStore, index: SearchIndex, known: Iterable[tuple[InstanceEntry, DeletionState]]) -> None:
    """Apply the receipts of moves, and those of further moves from there."""
    waiting, corrections = list(known), dict[str, Correction | None]()
    while waiting:
        entries: list[InstanceEntry] = []
        before: list[InstanceEntry] = []
        for entry, deletion_state in waiting:
            for move in sorted(
                deletion.id for deletion in deletion_state.standing if deletion.moved and not deletion.final
            ):
                key = Receipt(move).values_key(entry.partition)
                if key not in corrections:
                    corrections[key] = await _correction(objects, key)
                if (correction := corrections[key]) is not None:
                    entries.append(moved_entry(entry, move, correction))
                    before.append(entry)
        await _stay(index, before, entries)
        applied = await _apply(index, entries)
        waiting = []
        for partition in {entry.partition for entry in entries}:
            gone = [
                entry for entry, result in zip(entries, applied, strict=True)
                if result is not None and result.outcome is Outcome.DELETED and entry.partition == partition
            ]  # fmt: skip
            deletion_states = await index.deletion_states(partition, [entry.receipt for entry in gone])
            waiting += [(entry, deletion_states[entry.receipt]) for entry in gone if entry.receipt in deletion_states]


async def _stay(index: SearchIndex, before: Sequence[InstanceEntry], after: Sequence[InstanceEntry]) -> None:
    """An object that is moved to another study stays in the object store that it lies in."""
    relocations: list[Relocation] = []
    for partition in {entry.partition for entry in before}:
        places = await index.places(partition, [entry.receipt for entry in before if entry.partition == partition])
        for origin, follows in zip(before, after, strict=True):
            if origin.partition == partition and origin.receipt in places:
                key = InstanceKey(follows.study_instance_uid, follows.series_instance_uid, follows.sop_instance_uid)
                relocations.append(Relocation(partition, key, follows.receipt, places[origin.receipt]))
    await index.relocate(relocations)


def moved_entry(entry: InstanceEntry, move: str, correction: Correction) -> InstanceEntry:
    """A receipt as one of the study that it was moved to."""
    attributes = corrected(entry.attributes, [correction])
    uids = [text_of(attributes[tag][0]) for tag in (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)]
    return replace(
        entry,
        receipt=successor(entry.receipt, move),
        study_instance_uid=uids[0],
        series_instance_uid=uids[1],
        attributes=attributes,
        layout=_moved_layout(entry, correction),
    )


def _moved_layout(entry: InstanceEntry, correction: Correction) -> bytes:
    """The layout of a moved entry. Its uncoerced values are those of the object itself with the correction of the move
    applied."""
    coercion = unpack_coercion(coercion_in(entry.layout))
    if coercion is None:
        return entry.layout
    own = corrected(coercion.undone(entry.attributes), [correction])
    return with_coercion(entry.layout, coercion.indexed(own).pack())


async def _correction(objects: BlobStore, key: str) -> Correction | None:
    """The correction that a move applies to a header; None once it was erased, with all that was moved."""
    try:
        _, values = await read_values(objects, key)
    except NotFound:
        return None
    except NotUnderstood as error:
        logger.error("the values of a move cannot be read: it does not apply", key=key, error=error)
        return None
    uids: Mapping[str, object] = {f"{tag:08X}": tag for tag in (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)}
    if not all((values.get(name) or {}).get("Value") for name in uids):
        logger.error("the values of a move name no study and series: it does not apply", key=key)
        return None
    return Correction("", 0, "", "", values)


async def _apply(index: SearchIndex, entries: list[InstanceEntry]) -> list[Applied | None]:
    """Apply entries; None for one that the index refuses, as it would have refused the object itself."""
    results: list[Applied | None] = [None] * len(entries)
    left = list(range(len(entries)))
    while left:
        try:
            applied = await index.apply([entries[at] for at in left])
        except EntryRefused as error:
            refused = left.pop(error.position)
            logger.error("a move cannot be applied", key=entries[refused].object_key, error=error)
            continue
        for at, result in zip(left, applied, strict=True):
            results[at] = result
        break
    return results
