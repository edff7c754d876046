"""From the bucket alone: the events are appended to an empty log, missing ones are recovered, the index is built.

Other systems see no break. The consumer groups that notify others skip events sealed before a day that the caller
names: these were sent, or abandoned. The events of a subscription are numbered from its age in milliseconds, which
exceeds the number that it ever had. The bucket records that positions on the old log are invalid on this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.errors import ConfigError, UndecodableEvent
from gantry.common.events import Event, SubscriptionCreated, SubscriptionEventsCounted, decode
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.runtime.consumer import ConsumerLoop
from gantry.common.runtime.restored_log import RestoredLog
from gantry.common.runtime.sealed_events import segments
from gantry.common.telemetry.logs import get_logger
from gantry.services.maintenance.passing_over import pass_over
from gantry.services.maintenance.sealing import GROUP, topics
from gantry.services.maintenance.sweeper import Sweeper, SweepResult

_AT_ONCE = 500
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
    on the log it left behind: the bucket says that it began and did not end."""

    def __init__(
        self,
        objects: BlobStore,
        log: EventLog,
        sweeper: Sweeper,
        indexing: ConsumerLoop,
        group: str,
        clock: Clock,
        decided: Callable[[Sequence[Event]], Awaitable[None]],
        telling: Mapping[str, Sequence[str]],
        told_before_ms: int,
    ) -> None:
        """`indexing` is a member of the indexers' consumer `group`; `decided` applies the decisions about receipts to
        the index before the receipts themselves: deleted instances do not appear even for a moment, and collected
        objects are not read. `telling` are the consumer groups, with their topics, that notify others: not about events
        sealed before `told_before_ms` (milliseconds since the epoch)."""
        self._telling = telling
        self._told_before_ms = told_before_ms
        self._restored = RestoredLog(objects, clock)
        self._decided = decided
        self._objects = objects
        self._log = log
        self._sweeper = sweeper
        self._indexing = indexing
        self._group = group
        self._clock = clock

    async def run(self, again: bool, progress: Callable[[Restored], None]) -> Restored:
        """Restore. Raises `ConfigError` if the log is not empty, and neither `again` nor an interrupted run explains
        that, `Corrupt` for a damaged segment, `DependencyUnavailable` if a store is unavailable."""
        if not again and not await self._restored.broken_off():
            await self._require_empty()
        await self._restored.note(begun=True)
        done = Restored()
        begun = self._clock.monotonic()
        self._begin("facts", done, progress)
        await self._facts(done, progress)
        if done.facts:
            self._begin("skipping events that need not be sealed again", done, progress)
            await pass_over(self._log, {GROUP: topics()})
        done.facts_seconds = self._clock.monotonic() - begun
        begun = self._clock.monotonic()
        self._begin("objects", done, progress)
        swept = await self._sweeper.sweep(None, lambda so_far: self._report_sweep(done, so_far, progress))
        self._report_sweep(done, swept, progress)
        done.sweep_seconds = self._clock.monotonic() - begun
        begun = self._clock.monotonic()
        self._begin("index", done, progress)
        await self._index(done, progress)
        done.index_seconds = self._clock.monotonic() - begun
        await self._restored.note()
        return done

    def _begin(self, step: str, done: Restored, progress: Callable[[Restored], None]) -> None:
        done.step = step
        progress(done)

    async def _require_empty(self) -> None:
        async for _ in self._log.replay("instances"):
            raise ConfigError("storage.log", None, "the log is not empty: nothing to restore (or give --again)")

    async def _facts(self, done: Restored, progress: Callable[[Restored], None]) -> None:
        waiting: list[Event] = []
        now_ms, history = self._clock.now_us() // 1000, True
        async for segment in segments(self._objects, DEFAULT_PARTITION, 0, now_ms):
            if history and segment.sealed_at >= self._told_before_ms:
                history = False
                await self._append(waiting, done, progress)
                await self._pass_over_notifications(done, progress)
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
        if history:
            await self._pass_over_notifications(done, progress)

    async def _pass_over_notifications(self, done: Restored, progress: Callable[[Restored], None]) -> None:
        if done.facts:
            self._begin("skipping events that were reported to others", done, progress)
            await pass_over(self._log, self._telling)

    async def _append(self, waiting: list[Event], done: Restored, progress: Callable[[Restored], None]) -> None:
        if waiting:
            await self._decided(waiting)
            await self._log.append(*waiting, *self._numbers(waiting))
            done.facts += len(waiting)
            waiting.clear()
            progress(done)

    def _numbers(self, events: Sequence[Event]) -> list[SubscriptionEventsCounted]:
        """The numbers at which subscriptions continue: their receivers know the earlier ones, the log does not."""
        now = self._clock.now_us()
        return [
            SubscriptionEventsCounted(
                *(event.partition, event.trace, event.subscription, "restored", (now - event.at) // 1000, now)
            )
            for event in events
            if isinstance(event, SubscriptionCreated) and now > event.at
        ]

    def _report_sweep(self, done: Restored, swept: SweepResult, progress: Callable[[Restored], None]) -> None:
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
                self._begin(f"index, {sum(lag.values())} events to go", done, progress)
                await self._clock.sleep(0.2)
        finally:
            self._indexing.stop()
            await running
