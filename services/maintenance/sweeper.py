"""The sweeper finds objects whose event was not published (ingest died between store and log), and publishes it.

Objects and segments both sort by time, and an event is sealed after its object was stored. So both are read in step,
and only objects whose event has not been seen yet are held in memory. Publishing an event that is only late (the
archiver is behind) changes nothing: the receipt is the same, and applying it twice has the effect of applying it once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, GantryError, UndecodableEvent
from gantry.common.events import InstanceStored, decode
from gantry.common.ids import DEFAULT_PARTITION, Receipt
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.runtime.sealed_events import keys, segments
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.traces import new_trace
from gantry.services.maintenance.recover_event import fact_of

_OBJECTS = "objects"
logger = get_logger("sweeper")


@dataclass(slots=True)
class SweepResult:
    """The result of a sweep: objects examined, events published for objects that had none, objects that are damaged or
    not Gantry's, and uploads that never ended."""

    objects: int = 0
    told: int = 0
    unreadable: int = 0
    unfinished: int = 0


class Sweeper:
    """Sweeps one bucket."""

    def __init__(
        self, objects: BlobStore, log: EventLog, clock: Clock, metrics: Metrics, grace: float, unfinished_after: float
    ) -> None:
        """The event of an object younger than `grace` seconds may still be published; an upload older than
        `unfinished_after` seconds is abandoned."""
        self._objects = objects
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self._grace = grace
        self._unfinished_after = unfinished_after

    async def sweep(
        self, window: float | None = None, progress: Callable[[SweepResult], None] = lambda _: None
    ) -> SweepResult:
        """Sweep the objects of the last `window` seconds; None: all objects. Raises `DependencyUnavailable`."""
        now_ms = self._clock.now_us() // 1000
        since_ms = 0 if window is None else max(1, now_ms - int(window * 1000))
        swept = SweepResult()
        async for key, receipt in self.missing(since_ms, now_ms, swept):
            try:
                fact = await fact_of(self._objects, key, DEFAULT_PARTITION, receipt, new_trace())
            except DependencyUnavailable:
                raise
            except GantryError as error:
                swept.unreadable += 1
                logger.error("object without an event cannot be read", key=key, error=error)
                continue
            await self._log.append(fact)
            swept.told += 1
            self._metrics.facts_rescued.inc()
            logger.warning("object had no event; published now", key=key, trace=fact.trace)
            progress(swept)
        swept.unfinished = await self._objects.sweep_unfinished(self._unfinished_after)
        return swept

    async def run(self, every: float, window: float) -> None:
        """Sweep for ever. A sweep that fails because of a dependency is left to the next one."""
        while True:
            await self._clock.sleep(every)
            try:
                swept = await self.sweep(window)
                logger.info("swept", objects=swept.objects, told=swept.told, unfinished=swept.unfinished)
            except GantryError as error:
                logger.warning("sweep broken off", error=error)

    async def missing(self, since_ms: int, now_ms: int, swept: SweepResult) -> AsyncIterator[tuple[str, Receipt]]:
        """Objects older than the grace time whose event is in no segment."""
        grace_ms = int(self._grace * 1000)
        waiting: dict[str, str] = {}
        objects = keys(self._objects, _OBJECTS, DEFAULT_PARTITION, since_ms, now_ms)
        upcoming = await anext(objects, None)
        async for segment in segments(self._objects, DEFAULT_PARTITION, since_ms, now_ms):
            while upcoming is not None and upcoming[1].milliseconds <= segment.sealed_at:
                waiting[upcoming[1].id] = upcoming[0]
                swept.objects += 1
                upcoming = await anext(objects, None)
            for record in segment.records:
                if record.topic == "instances" and waiting:
                    waiting.pop(_receipt_in(record.payload), None)
        while upcoming is not None:
            waiting[upcoming[1].id] = upcoming[0]
            swept.objects += 1
            upcoming = await anext(objects, None)
        for receipt, key in sorted(waiting.items()):
            if now_ms - Receipt(receipt).milliseconds >= grace_ms:
                yield key, Receipt(receipt)


def _receipt_in(payload: bytes) -> str:
    """The receipt in an event; "" if it has none or is of an unknown version."""
    try:
        event = decode(payload)
    except UndecodableEvent:
        return ""
    return event.receipt if isinstance(event, InstanceStored) else ""
