"""Events into an index that is being rebuilt: conflicts are not published again, and no consumer group is involved."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gantry.common.dicom.query.attributes import STANDARD, AttributeTable
from gantry.common.errors import EntryRefused, GantryError
from gantry.common.events import InstanceStored, ObjectLost
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import InstanceEntry, SearchIndex
from gantry.common.runtime.losses import loss_of
from gantry.common.telemetry.logs import get_logger
from gantry.services.indexer.entries import entry_of
from gantry.services.indexer.handlers import read_head

logger = get_logger("indexer")


class Rebuild:
    """Applies events to one index."""

    def __init__(self, objects: BlobStore, index: SearchIndex, attributes: AttributeTable = STANDARD) -> None:
        """`attributes` are read from the headers."""
        self._objects = objects
        self._index = index
        self._attributes = attributes

    async def __call__(self, facts: Sequence[InstanceStored | ObjectLost]) -> int:
        """Apply the events. Returns how many can never be applied: the dead letters of the live index, too. Passes on
        the errors of its dependencies."""
        events = [fact for fact in facts if isinstance(fact, InstanceStored)]
        heads = {n: await read_head(self._objects, event) for n, event in enumerate(events) if event.header is None}
        entries, refused = await asyncio.to_thread(_entries, events, heads, self._attributes)
        while entries:
            try:
                await self._index.apply(entries)
                break
            except EntryRefused as error:
                _refuse(entries.pop(error.position).object_key, error)
                refused += 1
        await self._index.lose([loss_of(fact) for fact in facts if isinstance(fact, ObjectLost)])
        return refused


def _entries(
    events: Sequence[InstanceStored], heads: dict[int, bytes], attributes: AttributeTable
) -> tuple[list[InstanceEntry], int]:
    entries, refused = [], 0
    for number, event in enumerate(events):
        try:
            entries.append(entry_of(event, heads.get(number), attributes))
        except GantryError as error:
            if error.retryable:
                raise
            _refuse(event.object_key, error)
            refused += 1
    return entries, refused


def _refuse(key: str, error: GantryError) -> None:
    logger.error("event cannot be applied", key=key, error=error)
