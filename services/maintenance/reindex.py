"""Rebuilding the search index beside the live one, without a pause: events from the bucket, then from the log, then the
new index takes over, then events that arrived meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.errors import ConfigError, UndecodableEvent
from gantry.common.events import INDEXED, Event, InstanceStored, ObjectLost, decode
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.sealed_events import segments
from gantry.common.telemetry.logs import get_logger

Apply = Callable[[Sequence[Event]], Awaitable[int]]
"""Applies events of the topics that are indexed to the new index. Returns how many of them can never be applied."""

_AT_ONCE = 2000
_SKEW_US = 300_000_000
"""How far the clocks of the machines that append may differ."""
logger = get_logger("reindex")


@dataclass(slots=True)
class Reindexed:
    """The progress: events applied (an event in both the bucket and the log counts twice), events that can never be
    applied, events of an unknown version, instances in the index before and now, and seconds."""

    facts: int = 0
    refused: int = 0
    unknown: int = 0
    before: int = 0
    instances: int = 0
    seconds: float = 0.0


class Reindex:
    """One run. The live index is not touched before the end; an interrupted run is simply repeated."""

    def __init__(
        self,
        objects: BlobStore,
        log: EventLog,
        index: SearchIndex,
        applying: Callable[[SearchIndex], Apply],
        clock: Clock,
        attributes: AttributeTable,
    ) -> None:
        """The new index is made for `attributes`."""
        self._attributes = attributes
        self._objects = objects
        self._log = log
        self._index = index
        self._applying = applying
        self._clock = clock

    async def run(self, even_if_fewer: bool, progress: Callable[[Reindexed], None]) -> Reindexed:
        """Rebuild the index. Raises `ConfigError` if the new index would hold fewer instances than the live one (unless
        `even_if_fewer`), `Corrupt` for a damaged segment, `DependencyUnavailable` if a store is unavailable; the live
        index then stays in place."""
        done = Reindexed(before=await self._instances(self._index))
        begun = self._clock.monotonic()
        successor = await self._index.successor(self._attributes)
        try:
            apply = self._applying(successor)
            await self._decided(apply)
            await self._all(apply, self._sealed(done), done, progress)
            since = self._clock.now_us()
            await self._all(apply, self._logged(0, done), done, progress)
            done.instances = await self._instances(successor)
            if done.instances < done.before and not even_if_fewer:
                reason = (
                    f"would have {done.instances} instances, the present one has {done.before}; nothing was changed"
                )
                raise ConfigError("reindex", None, f"{reason} (gantry sweep --all, or --even-if-fewer)")
            await successor.take_over()
            await self._all(apply, self._logged(since - _SKEW_US, done), done, progress)
            done.instances = await self._instances(successor)
        finally:
            await successor.discard()
            await successor.close()
        done.seconds = self._clock.monotonic() - begun
        return done

    async def _decided(self, apply: Apply) -> None:
        """First the decisions about receipts: collected objects are not read."""
        unread = Reindexed()
        waiting: list[Event] = []
        for facts in (self._sealed(unread), self._logged(0, unread)):
            async for fact in facts:
                if not isinstance(fact, InstanceStored | ObjectLost):
                    waiting.append(fact)
                if len(waiting) >= _AT_ONCE:
                    await apply(waiting)
                    waiting = []
        if waiting:
            await apply(waiting)

    async def _all(
        self,
        apply: Apply,
        facts: AsyncIterator[Event],
        done: Reindexed,
        progress: Callable[[Reindexed], None],
    ) -> None:
        waiting: list[Event] = []
        async for fact in facts:
            waiting.append(fact)
            if len(waiting) >= _AT_ONCE:
                await self._apply_batch(apply, waiting, done, progress)
                waiting = []
        await self._apply_batch(apply, waiting, done, progress)

    async def _apply_batch(
        self,
        apply: Apply,
        facts: Sequence[Event],
        done: Reindexed,
        progress: Callable[[Reindexed], None],
    ) -> None:
        if facts:
            done.refused += await apply(facts)
            done.facts += len(facts)
            progress(done)

    async def _sealed(self, done: Reindexed) -> AsyncIterator[Event]:
        now_ms = self._clock.now_us() // 1000
        async for segment in segments(self._objects, DEFAULT_PARTITION, 0, now_ms):
            for record in segment.records:
                if record.topic in INDEXED and (fact := _fact(record.payload, done)) is not None:
                    yield fact

    async def _logged(self, since_us: int, done: Reindexed) -> AsyncIterator[Event]:
        for topic in INDEXED:
            async for record in self._log.replay(topic, since_us):
                if (fact := _fact(record.payload, done)) is not None:
                    yield fact

    async def _instances(self, index: SearchIndex) -> int:
        return (await index.count(DEFAULT_PARTITION))["instances"]


def _fact(payload: bytes, done: Reindexed) -> Event | None:
    try:
        return decode(payload)
    except UndecodableEvent as error:
        done.unknown += 1
        logger.error("event cannot be read", error=error)
        return None
