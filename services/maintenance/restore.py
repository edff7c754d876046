"""From the bucket alone: the events are appended to an empty log, missing ones are recovered, the index is built."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.errors import ConfigError, UndecodableEvent
from gantry.common.events import Event, decode
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.runtime.consumer import ConsumerLoop
from gantry.common.runtime.sealed_events import segments
from gantry.common.telemetry.logs import get_logger
from gantry.services.maintenance.sealing import GROUP, topics
from gantry.services.maintenance.sweeper import Sweeper, Swept

_AT_ONCE = 500
_PLACE_SECONDS = 10.0
"""How long to wait for a place in the archivers' group, which a running archiver does not leave."""
logger = get_logger("restore")


@dataclass(slots=True)
class Restored:
    """The progress: segments and events read, events of an unknown version, objects swept and those of them that had no
    event, and seconds for each step."""

    segments: int = 0
    facts: int = 0
    unknown: int = 0
    objects: int = 0
    told: int = 0
    facts_seconds: float = 0.0
    sweep_seconds: float = 0.0
    index_seconds: float = 0.0
    step: str = ""
    """The step that is running."""


class Restore:
    """One run. Appending an event twice changes nothing, so an interrupted run is simply repeated, on an emptied log or
    (with `again`) on the log it left behind."""

    def __init__(
        self,
        objects: BlobStore,
        log: EventLog,
        sweeper: Sweeper,
        indexing: ConsumerLoop,
        group: str,
        clock: Clock,
        decided: Callable[[Sequence[Event]], Awaitable[None]],
    ) -> None:
        """`indexing` is a member of the indexers' consumer `group`; `decided` tells the index what became of receipts,
        before it hears of them: nothing that was deleted is there for a moment, and what is collected is not looked
        for."""
        self._decided = decided
        self._objects = objects
        self._log = log
        self._sweeper = sweeper
        self._indexing = indexing
        self._group = group
        self._clock = clock

    async def run(self, again: bool, progress: Callable[[Restored], None]) -> Restored:
        """Restore. Raises `ConfigError` if the log is not empty and `again` is false, `Corrupt` for a damaged segment,
        `DependencyUnavailable` if a store is unavailable."""
        if not again:
            await self._require_empty()
        done = Restored()
        begun = self._clock.monotonic()
        self._begin("facts", done, progress)
        await self._facts(done, progress)
        if done.facts:
            self._begin("passing over what need not be sealed again", done, progress)
            await self._skip_sealing()
        done.facts_seconds = self._clock.monotonic() - begun
        begun = self._clock.monotonic()
        self._begin("objects", done, progress)
        swept = await self._sweeper.sweep(None, lambda so_far: self._swept(done, so_far, progress))
        self._swept(done, swept, progress)
        done.sweep_seconds = self._clock.monotonic() - begun
        begun = self._clock.monotonic()
        self._begin("index", done, progress)
        await self._index(done, progress)
        done.index_seconds = self._clock.monotonic() - begun
        return done

    def _begin(self, step: str, done: Restored, progress: Callable[[Restored], None]) -> None:
        done.step = step
        progress(done)

    async def _require_empty(self) -> None:
        async for _ in self._log.replay("instances"):
            raise ConfigError("storage.log", None, "the log is not empty: nothing to restore (or say --again)")

    async def _facts(self, done: Restored, progress: Callable[[Restored], None]) -> None:
        waiting: list[Event] = []
        now_ms = self._clock.now_us() // 1000
        async for segment in segments(self._objects, DEFAULT_PARTITION, 0, now_ms):
            for record in segment.records:
                try:
                    waiting.append(decode(record.payload))
                except UndecodableEvent as error:
                    done.unknown += 1
                    logger.error("event cannot be read", key=segment.key, error=error)
            done.segments += 1
            if len(waiting) >= _AT_ONCE:
                await self._append(waiting, done, progress)
        await self._append(waiting, done, progress)

    async def _append(self, waiting: list[Event], done: Restored, progress: Callable[[Restored], None]) -> None:
        if waiting:
            await self._decided(waiting)
            await self._log.append(*waiting)
            done.facts += len(waiting)
            waiting.clear()
            progress(done)

    async def _skip_sealing(self) -> None:
        """Commit the archivers' offsets: events from segments need not be sealed again. A running archiver holds the
        place in its group, and seals them again, which changes nothing."""
        async with self._log.consumer(GROUP, topics()) as consumer:
            try:
                async with asyncio.timeout(_PLACE_SECONDS):
                    records = await consumer.poll(2000)
            except TimeoutError:
                logger.warning("an archiver is running, which seals again what was restored")
                return
            await consumer.commit(records)
            while any((await self._log.lag(GROUP)).values()):
                await consumer.commit(await consumer.poll(2000))

    def _swept(self, done: Restored, swept: Swept, progress: Callable[[Restored], None]) -> None:
        done.objects, done.told = swept.objects, swept.told
        progress(done)

    async def _index(self, done: Restored, progress: Callable[[Restored], None]) -> None:
        """Apply all events, alone or beside indexers that are running already."""
        running = asyncio.create_task(self._indexing.run())
        try:
            while not running.done():
                # The lag of a group that has not joined yet is unknown.
                lag = await self._log.lag(self._group)
                if lag and not any(lag.values()):
                    break
                self._begin(f"index, {sum(lag.values())} facts to go", done, progress)
                await self._clock.sleep(0.2)
        finally:
            self._indexing.stop()
            await running
