"""Rewrites segments of earlier releases without headers, and without patient data of orders and procedure steps: that
is moved into objects, from which it can be erased.

    facts/PARTITION/TTTTTTT/RECEIPT.seg  becomes  facts/PARTITION/TTTTTTT/RECEIPT.bare.seg
    state/resealed-orders/RECEIPT         the progress of a run; the newest counts. Earlier releases, which handled
                                          only headers, counted below state/resealed/

First the new segment is durable, then the old one is removed. An interrupted run is repeated: it continues where the
other one was, and a segment that exists twice holds the same events twice, which changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from gantry.common.clock import Clock
from gantry.common.errors import UndecodableEvent
from gantry.common.events import TOPICS, OrderPlaced, ProcedureStepCreated, decode, has_header
from gantry.common.events.segments import SealedRecord, unseal
from gantry.common.ids import Receipt, receipt_in_key
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.runtime.order_values import sealed_payload
from gantry.common.runtime.sealed_events import ROOT, keys, resealed_key
from gantry.common.telemetry.logs import get_logger
from gantry.services.maintenance.sealing import bare_segment

_STATE = "state/resealed-orders/"
_SAVE_EVERY = 50
_OF_ORDERS = (TOPICS[OrderPlaced].name, TOPICS[ProcedureStepCreated].name)
logger = get_logger("resealing")


@dataclass(slots=True)
class Resealed:
    """The progress: segments read, those of them that were rewritten, and the records in these."""

    segments: int = 0
    resealed: int = 0
    records: int = 0


class Resealing:
    """Rewrites the segments of one partition."""

    def __init__(self, objects: BlobStore, clock: Clock, partition: str) -> None:
        self._objects = objects
        self._clock = clock
        self._partition = partition

    async def run(self, progress: Callable[[Resealed], None] = lambda _: None) -> Resealed:
        """Process all segments, from where the last run ended. Raises `Corrupt` if one is damaged (it stays as it is),
        and `DependencyUnavailable`."""
        done = Resealed()
        last, since = None, await self._since()
        now_ms = self._clock.now_us() // 1000
        async for key, receipt in keys(self._objects, ROOT, self._partition, since, now_ms):
            last = receipt
            await self._reseal(key, done)
            if done.segments % _SAVE_EVERY == 0:
                await self._save(receipt)
                progress(done)
        if last is not None:
            await self._save(last)
        return done

    async def _reseal(self, key: str, done: Resealed) -> None:
        content = await read_whole(self._objects, key)
        done.segments += 1
        records = await asyncio.to_thread(unseal, content)
        apart = [await self._without_values(record) for record in records]
        if apart == records and not any(has_header(record.payload) for record in records):
            return
        await self._objects.put(resealed_key(key), [await asyncio.to_thread(bare_segment, apart)])
        await self._objects.delete(key)
        done.resealed += 1
        done.records += len(records)
        logger.info("segment sealed anew without names", key=key, records=len(records))

    async def _without_values(self, record: SealedRecord) -> SealedRecord:
        if record.topic not in _OF_ORDERS:
            return record
        try:
            event = decode(record.payload)
        except UndecodableEvent:
            return record  # of a newer release, which moves it itself
        return replace(record, payload=await sealed_payload(self._objects, event, record.payload))

    async def _since(self) -> int:
        """When the last segment that a run has processed was sealed; 0 before the first run."""
        known = [stat.key async for stat in self._objects.list(_STATE)]
        receipt = receipt_in_key(known[-1]) if known else None
        return receipt.milliseconds if receipt is not None else 0

    async def _save(self, receipt: Receipt) -> None:
        key = _STATE + receipt.id
        before = [stat.key async for stat in self._objects.list(_STATE)]
        await self._objects.put(key, [b"resealed up to here\n"])
        for other in before:
            if other < key:
                await self._objects.delete(other)
