"""From the bucket alone: an empty log gets its facts back, objects without a fact get one, and the index is built."""

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
from gantry.common.telemetry.logs import get_logger
from gantry.services.maintenance.sealed_events import segments
from gantry.services.maintenance.sealing import GROUP, topics
from gantry.services.maintenance.sweeper import Sweeper, Swept

_AT_ONCE = 500
_PLACE_SECONDS = 10.0
"""For the place in the archivers' group, which a running one does not give up."""
logger = get_logger("restore")


@dataclass(slots=True)
class Restored:
    """How far it is: segments and facts read, facts of a version that we cannot read, objects swept and those of them
    that had no fact, and seconds for each step."""

    segments: int = 0
    facts: int = 0
    unknown: int = 0
    objects: int = 0
    told: int = 0
    facts_seconds: float = 0.0
    sweep_seconds: float = 0.0
    index_seconds: float = 0.0
    step: str = ""
    """What is under way."""


class Restore:
    """One run. What is appended twice changes nothing, so that a run that was cut short is simply run again, on an
    emptied log or (with `again`) on what it left."""

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
        """Raises `ConfigError` where the log is not empty and `again` is not said, `Corrupt` for a damaged segment,
        `DependencyUnavailable` where a store is away."""
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
                    logger.error("fact cannot be read", key=segment.key, error=error)
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
        """What was read from segments need not be sealed again. Where an archiver is at work already, it has the place
        of its group, and seals them again: that changes nothing."""
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
        """Apply everything; alone, or beside indexers that run already."""
        running = asyncio.create_task(self._indexing.run())
        try:
            while not running.done():
                # Nothing is known of a group that has not joined yet.
                lag = await self._log.lag(self._group)
                if lag and not any(lag.values()):
                    break
                self._begin(f"index, {sum(lag.values())} facts to go", done, progress)
                await self._clock.sleep(0.2)
        finally:
            self._indexing.stop()
            await running
