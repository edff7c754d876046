"""The order of effects: apply to the index, tell of conflicts, and only then is a batch done.

Everything here may happen again: applying twice changes nothing, and a conflict that was told twice is the same one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from libs.common.clock import Clock
from libs.common.dicom.attributes import STANDARD, AttributeTable
from libs.common.errors import EntryRefused, GantryError
from libs.common.events import InstanceStored
from libs.common.ports.blobs import BlobStore
from libs.common.ports.index import Applied, InstanceEntry, SearchIndex
from libs.common.ports.log import EventLog
from libs.common.runtime.consumer import Delivery, Poison
from libs.common.telemetry.logs import get_logger
from libs.common.telemetry.metrics import Metrics
from services.indexer.entries import conflict_of, entry_of, head_length

_said = get_logger("indexer")


class Indexer:
    """The handler of the consumer loop."""

    def __init__(
        self,
        objects: BlobStore,
        log: EventLog,
        index: SearchIndex,
        clock: Clock,
        metrics: Metrics,
        attributes: AttributeTable = STANDARD,
    ) -> None:
        """`attributes` are taken from the headers; the index keeps those of them that it was made for."""
        self._attributes = attributes
        self._objects = objects
        self._log = log
        self._index = index
        self._clock = clock
        self._metrics = metrics

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Make a batch searchable. Raises `Poison` for an event that can never be, and what a dependency raises."""
        stored = [(delivery, delivery.event) for delivery in batch if isinstance(delivery.event, InstanceStored)]
        heads: dict[int, bytes] = {}
        for number, (delivery, event) in enumerate(stored):
            if event.header is None:
                try:
                    heads[number] = await read_head(self._objects, event)
                except GantryError as error:
                    raise _verdict(delivery, error) from error
        # Off the event loop: a batch takes a tenth of a second, and associations may be served in this process.
        entries = await asyncio.to_thread(_entries, stored, heads, self._attributes)
        try:
            applied = await self._index.apply(entries)
        except EntryRefused as error:
            raise Poison(stored[error.position][0], str(error)) from error
        await self._tell([event for _, event in stored], applied)

    async def _tell(self, events: Sequence[InstanceStored], applied: Sequence[Applied]) -> None:
        now = self._clock.now_us()
        found = [conflict_of(event, outcome, now) for event, outcome in zip(events, applied, strict=True)]
        conflicts = [conflict for conflict in found if conflict is not None]
        if conflicts:
            await self._log.append(*conflicts)
        for conflict in conflicts:
            # Somebody made two objects of one name: for a person to look into, so it is said and not only counted.
            _said.warning(
                "other bytes under a sop instance uid that is taken; the first stays current, this one is kept aside",
                sop_instance_uid=conflict.sop_instance_uid,
                calling=conflict.calling_ae_title,
                kept_receipt=conflict.kept_receipt,
                aside_receipt=conflict.aside_receipt,
                trace=conflict.trace,
            )
        for event, outcome in zip(events, applied, strict=True):
            self._metrics.instances_indexed.labels(outcome.outcome.value).inc()
            self._metrics.searchable_seconds.observe(max(0, now - event.stored_at) / 1e6)


async def read_head(objects: BlobStore, event: InstanceStored) -> bytes:
    """The claim check: the header is read from the object, since the event was to stay small."""
    reader = await objects.open(event.object_key, event.data_set_offset, head_length(event))
    try:
        head = bytearray(head_length(event))
        filled = await reader.readinto([memoryview(head)])
        return bytes(head[:filled])
    finally:
        await reader.close()


def _entries(
    stored: Sequence[tuple[Delivery, InstanceStored]], heads: dict[int, bytes], attributes: AttributeTable
) -> list[InstanceEntry]:
    entries = []
    for number, (delivery, event) in enumerate(stored):
        try:
            entries.append(entry_of(event, heads.get(number), attributes))
        except GantryError as error:
            raise _verdict(delivery, error) from error
    return entries


def _verdict(delivery: Delivery, error: GantryError) -> Exception:
    """Later for what passes, never for what does not."""
    return error if error.retryable else Poison(delivery, f"{type(error).__name__}: {error}")
