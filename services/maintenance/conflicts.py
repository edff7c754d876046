"""Conflicts, for an operator: every receipt of a SOP Instance UID that refers to more than one object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gantry.common.clock import Clock
from gantry.common.errors import GantryError, TooLarge
from gantry.common.ids import DEFAULT_PARTITION, receipt_in_key
from gantry.common.ports.blobs import BlobReader, BlobStore
from gantry.common.ports.index import KnownReceipt, Location, ReadIndex
from gantry.common.runtime.losses import instance_of
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

_CHUNK = 1 << 20
_EVERY_SECONDS = 600.0
logger = get_logger("conflicts")


@dataclass(frozen=True, slots=True)
class ConflictSide:
    """One of the objects to which a SOP Instance UID refers. `current`: it is the one that queries and retrievals
    return in its series; otherwise it is aside, or redundant: sent again with the bytes of the current one."""

    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    receipt: str
    received_ms: int
    sender: str
    digest: str
    object_key: str
    current: bool
    aside: bool
    lost: bool


async def sides(index: ReadIndex, partition: str) -> AsyncIterator[list[ConflictSide]]:
    """For each SOP Instance UID in conflict, all of its sides, by series and time."""
    async for uids in index.conflicts(partition):
        async for conflict in sides_of(index, partition, uids):
            yield conflict


async def sides_of(index: ReadIndex, partition: str, uids: Sequence[str]) -> AsyncIterator[list[ConflictSide]]:
    """The same for some SOP Instance UIDs, in conflict or not; unknown ones are left out."""
    located = await index.resolve(partition, uids)
    for uid in uids:
        conflict: list[ConflictSide] = []
        for location in located.get(uid, ()):
            receipts = await index.receipts(partition, instance_of(location))
            conflict += [_side(location, receipt) for receipt in receipts]
        if conflict:
            yield conflict


def in_conflict(group: Sequence[ConflictSide]) -> bool:
    """Whether the sides of a SOP Instance UID are different objects, and not one object that was sent more than once.
    Pure."""
    return any(side.aside for side in group) or sum(1 for side in group if side.current) > 1


def _side(location: Location, known: KnownReceipt) -> ConflictSide:
    same = (known.digest, known.transfer_syntax_uid) == (location.digest, location.transfer_syntax_uid)
    receipt = receipt_in_key(known.object_key)
    return ConflictSide(
        location.sop_instance_uid,
        location.study_instance_uid,
        location.series_instance_uid,
        known.id,
        receipt.milliseconds if receipt is not None else 0,
        known.sender,
        known.digest,
        known.object_key,
        current=known.object_key == location.object_key,
        aside=not same,
        lost=known.lost,
    )


async def fetch(objects: BlobStore, side: ConflictSide, folder: Path, most: int | None = None) -> Path:
    """Write the object of one side into a folder as a Part 10 file named by its receipt. Raises `GantryError`:
    `TooLarge` for one of more than `most` bytes."""
    reader = await objects.open(side.object_key)
    path = folder / side.sop_instance_uid / f"{side.receipt}.dcm"
    try:
        if most is not None and reader.size > most:
            raise TooLarge(f"the object has {reader.size} bytes, more than {most}")
        path.parent.mkdir(parents=True, exist_ok=True)
        await _copy(reader, path)
    finally:
        await reader.close()
    return path


async def _copy(reader: BlobReader, path: Path) -> None:
    buffer = memoryview(bytearray(_CHUNK))
    with path.open("wb") as file:
        while count := await reader.readinto([buffer]):
            await asyncio.to_thread(file.write, buffer[:count])


async def report_aside(index: ReadIndex, clock: Clock, metrics: Metrics) -> None:
    """Update the gauge of receipts that are aside, for ever."""
    while True:
        try:
            metrics.receipts_aside.set((await index.count(DEFAULT_PARTITION))["aside"])
        except GantryError as error:
            logger.warning("objects kept aside could not be counted", error=error)
        await clock.sleep(_EVERY_SECONDS)
