"""The archiver: events of the log become segments in the bucket; its consumer group is like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from gantry.common.clock import Clock
from gantry.common.events import ARCHIVERS, FACTS, TOPICS, without_header
from gantry.common.events.segments import SealedRecord, seal
from gantry.common.ids import Receipt
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.runtime.consumer import ConsumerLimits, ConsumerLoop, Delivery
from gantry.common.runtime.order_values import sealed_payload
from gantry.common.telemetry.metrics import Metrics

GROUP = ARCHIVERS
_BATCH = 2000


def topics() -> list[str]:
    """Every topic with events about the content of the archive."""
    return sorted({topic.name for topic in TOPICS.values() if topic.sealed})


class Archiver:
    """The handler of the consumer loop. A redelivered batch is sealed again: reading an event twice changes nothing."""

    def __init__(self, objects: BlobStore, clock: Clock, metrics: Metrics) -> None:
        self._objects = objects
        self._clock = clock
        self._metrics = metrics

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        segments: dict[tuple[str, str], list[SealedRecord]] = {}
        for delivery in batch:
            record = delivery.record
            payload = await sealed_payload(self._objects, delivery.event, record.payload)
            sealed = SealedRecord(record.topic, record.key, record.appended_at, payload)
            segments.setdefault((TOPICS[type(delivery.event)].root, delivery.event.partition), []).append(sealed)
        for (root, partition), records in segments.items():
            # Named like a receipt, so that segments sort by when they were sealed.
            key = segment_key(partition, Receipt.at(self._clock.now_us()), root)
            await self._objects.put(key, [await asyncio.to_thread(bare_segment, records)])
            self._metrics.facts_sealed.inc(len(records))


def bare_segment(records: Sequence[SealedRecord]) -> bytes:
    """A segment of events without headers, since it stays in the bucket for ever, but an object may be deleted."""
    return seal([replace(record, payload=without_header(record.payload)) for record in records])


def segment_key(partition: str, receipt: Receipt, root: str = FACTS) -> str:
    """The key of a segment."""
    return f"{root}/{partition}/{receipt.id[:7]}/{receipt.id}.seg"


def build(objects: BlobStore, log: EventLog, clock: Clock, metrics: Metrics, every: float) -> ConsumerLoop:
    """The consumer; an event is sealed within about `every` seconds, or as soon as a batch is full."""
    limits = ConsumerLimits(batch=_BATCH, linger=every)
    return ConsumerLoop(log, GROUP, topics(), Archiver(objects, clock, metrics), clock, metrics, limits)
