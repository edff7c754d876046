"""Segments of earlier releases sealed anew, without the headers that those hold.

    facts/PARTITION/TTTTTTT/RECEIPT.seg  becomes  facts/PARTITION/TTTTTTT/RECEIPT.bare.seg
    state/resealed/RECEIPT                how far a run came; the newest counts

First the new segment is durable, then the old one goes. A run that was cut short is run again: it goes on where the
other one was, and a segment that lies there twice holds the same facts twice, which changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.events import has_header
from gantry.common.events.segments import unseal
from gantry.common.ids import Receipt, receipt_in_key
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.runtime.sealed_events import ROOT, keys, resealed_key
from gantry.common.telemetry.logs import get_logger
from gantry.services.maintenance.sealing import bare_segment

_STATE = "state/resealed/"
_BARE = resealed_key("")
_SAVE_EVERY = 50
logger = get_logger("resealing")


@dataclass(slots=True)
class Resealed:
    """How far it is: segments read, those of them that were sealed anew, and the records in these."""

    segments: int = 0
    resealed: int = 0
    records: int = 0


class Resealing:
    """Seals the segments of one partition anew."""

    def __init__(self, objects: BlobStore, clock: Clock, partition: str) -> None:
        self._objects = objects
        self._clock = clock
        self._partition = partition

    async def run(self, progress: Callable[[Resealed], None] = lambda _: None) -> Resealed:
        """All segments, from where the last run was. Raises `Corrupt` where one is damaged, which stays as it is, and
        `DependencyUnavailable`."""
        done = Resealed()
        last, since = None, await self._since()
        now_ms = self._clock.now_us() // 1000
        async for key, receipt in keys(self._objects, ROOT, self._partition, since, now_ms):
            last = receipt
            if key.endswith(_BARE):
                continue
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
        bare, records = await asyncio.to_thread(_without_headers, content)
        if bare is None:
            return
        await self._objects.put(resealed_key(key), [bare])
        await self._objects.delete(key)
        done.resealed += 1
        done.records += records
        logger.info("segment sealed anew without headers", key=key, records=records)

    async def _since(self) -> int:
        """When the last segment was sealed that a run has been at; 0 before the first run."""
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


def _without_headers(content: bytes) -> tuple[bytes | None, int]:
    """The segment without headers and how many records it has; None where there are none in it already."""
    records = unseal(content)
    if not any(has_header(record.payload) for record in records):
        return None, len(records)
    return bare_segment(records), len(records)
