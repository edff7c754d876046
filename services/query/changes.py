"""Changes of studies, as they become searchable: one reader of the log per process, and its listeners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field

from gantry.common.clock import Clock, SystemClock
from gantry.common.errors import DependencyUnavailable, UndecodableEvent
from gantry.common.events import (
    INDEXERS,
    TOPICS,
    InstancesDeleted,
    InstancesMoved,
    InstancesMovedBack,
    InstancesRestored,
    InstanceStored,
    StudyCorrected,
    StudyCorrectionWithdrawn,
    decode,
)
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.log import EventLog, Record
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.services.query.coalescing import Coalescing, Offsets, StudyChange

INSTANCES = TOPICS[InstanceStored].name
MOST_LISTENERS = 256
MOST_WAITING = 1_000
"""Changes that may wait for one listener; a slower listener is dropped."""
MOST_MISSED = 50_000
"""Records that are read again for a listener that reconnects; a listener that missed more starts afresh."""
_START_SECONDS = 5.0
_CATCH_UP_SECONDS = 20.0
_AGAIN_SECONDS = 1.0
_MOVING = (InstancesMoved, InstancesMovedBack)
_CHANGING = (InstanceStored, InstancesDeleted, InstancesRestored, StudyCorrected, StudyCorrectionWithdrawn, *_MOVING)
logger = get_logger("query")


@dataclass(eq=False)
class ChangeListener:
    """A listener. `begin` is the cursor at which its changes begin; `drop` is called if it is too slow."""

    begin: Offsets
    drop: Callable[[], None] = lambda: None
    _queue: asyncio.Queue[Sequence[StudyChange]] = field(default_factory=asyncio.Queue)
    _waiting: int = 0

    def offer(self, changes: Sequence[StudyChange]) -> bool:
        """Queue changes; False if there is no room. An idle listener always has room, however many come at once."""
        if self._waiting and self._waiting + len(changes) > MOST_WAITING:
            return False
        self._waiting += len(changes)
        self._queue.put_nowait(changes)
        return True

    async def next(self) -> list[StudyChange]:
        """The queued changes, at least one; waits for the first."""
        changes = list(await self._queue.get())
        while not self._queue.empty():
            changes += self._queue.get_nowait()
        self._waiting = 0
        return changes


class ChangeReader:
    """Reads the log while there is a listener."""

    def __init__(self, log: EventLog, clock: Clock | None = None, most: int = MOST_LISTENERS) -> None:
        """At most `most` listeners at a time."""
        self._log = log
        self._clock = clock or SystemClock()
        self._most = most
        self._listeners: set[ChangeListener] = set()
        self._expected = 0
        self._coalescing: Coalescing | None = None
        self._ends: Offsets = {}
        self._started = asyncio.Event()
        self._news = asyncio.Event()
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    @property
    def is_full(self) -> bool:
        """Whether the limit of listeners is reached."""
        return self._expected >= self._most

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[ChangeListener]:
        """A listener to all changes from now on. Raises `DependencyUnavailable` if the log cannot be read."""
        self._expected += 1
        try:
            if not self._tasks:
                self._tasks = (asyncio.create_task(self._read()), asyncio.create_task(self._tell()))
            try:
                async with asyncio.timeout(_START_SECONDS):
                    await self._started.wait()
            except TimeoutError:
                raise DependencyUnavailable("event log", "changes cannot be read now") from None
            listener = ChangeListener(self._ends)
            self._listeners.add(listener)
            try:
                yield listener
            finally:
                self._listeners.discard(listener)
        finally:
            self._expected -= 1
            if not self._expected:
                await self.close()

    async def missed(self, since: Offsets, until: Offsets) -> list[str] | None:
        """The studies that changed between two cursors; None if they are too many to read again, or `since` is not a
        cursor of this log."""
        ends = await self._log.ends(INSTANCES)
        begin = {partition: since.get(partition, end) for partition, end in until.items()}
        if any(offset > ends.get(partition, 0) for partition, offset in begin.items()):
            return None  # a cursor of another log
        behind = {partition for partition, offset in begin.items() if offset < until[partition]}
        if sum(until[partition] - begin[partition] for partition in behind) > MOST_MISSED:
            return None
        studies: dict[str, None] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_SECONDS):
                if behind:
                    await self._between(begin, until, studies)
                return list(studies)
        return None

    async def close(self) -> None:
        """Stop reading. The next listener starts reading afresh."""
        tasks, self._tasks = self._tasks, ()
        self._started.clear()
        self._coalescing, self._ends = None, {}
        await end_tasks(*tasks)

    async def _between(self, begin: Offsets, until: Offsets, studies: dict[str, None]) -> None:
        async with aclosing(self._log.follow(INSTANCES, INDEXERS, begin)) as following:
            async for passed in following:
                records = [record for record in passed.records if record.offset < until.get(record.partition, 0)]
                studies.update(dict.fromkeys(await asyncio.to_thread(_studies, records)))
                if all(passed.ends.get(partition, end) >= end for partition, end in until.items()):
                    return

    async def _read(self) -> None:
        while True:
            try:
                async with aclosing(self._log.follow(INSTANCES, INDEXERS, self._ends)) as following:
                    async for passed in following:
                        studies = await asyncio.to_thread(_studies, passed.records)
                        if self._coalescing is None:
                            self._coalescing = Coalescing(passed.ends)
                        self._coalescing.add(studies, passed.ends, self._clock.monotonic())
                        self._ends = dict(passed.ends)
                        self._started.set()
                        self._news.set()
            except DependencyUnavailable as error:
                logger.warning("changes cannot be read", error=error)
            await self._clock.sleep(_AGAIN_SECONDS)

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            coalescing = self._coalescing
            while coalescing is not None:
                if changes := coalescing.due(self._clock.monotonic()):
                    self._publish(changes)
                wait = coalescing.wait(self._clock.monotonic())
                if wait is None:
                    break
                await self._clock.sleep(wait + 0.01)

    def _publish(self, changes: Sequence[StudyChange]) -> None:
        for listener in list(self._listeners):
            if not listener.offer(changes):
                self._listeners.discard(listener)
                logger.warning("a listener was too slow, and was dropped")
                listener.drop()


def _studies(records: Sequence[Record]) -> list[str]:
    """The studies that changed, each once."""
    studies: dict[str, None] = {}
    for record in records:
        try:
            event = decode(record.payload)
        except UndecodableEvent:
            continue  # the indexer has put it among the dead letters
        if isinstance(event, _CHANGING) and event.partition == DEFAULT_PARTITION:
            studies[event.study_instance_uid] = None
            if isinstance(event, _MOVING):
                studies[event.into_study] = None
    return list(studies)
