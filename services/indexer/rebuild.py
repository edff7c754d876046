"""Events into an index that is being rebuilt: conflicts are not published again, and no consumer group is involved."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.dicom.query.attributes import STANDARD, AttributeTable
from gantry.common.errors import EntryRefused, GantryError
from gantry.common.events import Event, InstanceStored
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import InstanceEntry, SearchIndex
from gantry.common.runtime.losses import losses_of
from gantry.common.telemetry.logs import get_logger
from gantry.services.indexer.decisions import tell, without_collected
from gantry.services.indexer.heads import entries_of
from gantry.services.indexer.moves import apply_moved

logger = get_logger("indexer")


class Rebuild:
    """Applies events to one index."""

    def __init__(self, objects: BlobStore, index: SearchIndex, attributes: AttributeTable = STANDARD) -> None:
        """`attributes` are read from the headers."""
        self._objects = objects
        self._index = index
        self._attributes = attributes

    async def __call__(self, facts: Sequence[Event]) -> int:
        """Apply the events. Returns how many can never be applied: the dead letters of the live index, too. Passes on
        the errors of its dependencies."""
        await tell(self._objects, self._index, facts)
        events = [fact for fact in facts if isinstance(fact, InstanceStored)]
        presence = await without_collected(self._index, events)
        events = [event for event, is_there in zip(events, presence, strict=True) if is_there]
        entries: list[InstanceEntry] = []
        refused = 0
        for event, entry in zip(events, await entries_of(self._objects, events, self._attributes), strict=True):
            if isinstance(entry, GantryError):
                _refuse(event.object_key, entry)
                refused += 1
            else:
                entries.append(entry)
        while entries:
            try:
                applied = await self._index.apply(entries)
                await apply_moved(self._objects, self._index, entries, applied)
                break
            except EntryRefused as error:
                _refuse(entries.pop(error.position).object_key, error)
                refused += 1
        await self._index.lose(await losses_of(self._index, facts))
        return refused


def _refuse(key: str, error: GantryError) -> None:
    logger.error("event cannot be applied", key=key, error=error)
