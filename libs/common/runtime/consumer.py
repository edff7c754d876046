"""The consumer loop: poll, decode, apply, commit last.

A handler takes a batch of events and returns when their effects are durable; it is idempotent, because every event is
delivered at least once. It raises two kinds of error:
- `Backoff`: later. The batch is retained, and tried again after a growing pause; nothing is committed, nothing is lost.
  A `GantryError` that is `retryable` (a dependency is unavailable) means the same.
- `Poison`: never. That event goes to the dead letters with its bytes and the reason; the others are applied.
Any other exception means that some event of the batch cannot be applied: the batch is halved until that event is found.
Too many dead letters in a short time mean that the fault is in our code and not in the events: the loop stops with an
error.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, GantryError, UndecodableEvent
from gantry.common.events import DeadLetter, Event, decode, letter_id, without_header
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.log import Consumer, EventLog, Record
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

T = TypeVar("T")
_LAG_EVERY_SECONDS = 15.0


class Backoff(Exception):
    """Try later: a handler cannot apply its batch now."""


class Poison(Exception):
    """Never try again: `delivery` cannot be applied, for `reason`."""

    def __init__(self, delivery: Delivery, reason: str) -> None:
        super().__init__(reason)
        self.delivery = delivery
        self.reason = reason


class DeadLetterLimit(GantryError):
    """More dead letters in a short time than single bad events explain; the consumer has stopped."""


class _Stopped(Exception):
    """The loop was asked to stop while it waited."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record and its decoded event."""

    record: Record
    event: Event


Handler = Callable[[Sequence[Delivery]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ConsumerLimits:
    """`dead_letters` within `dead_letter_seconds` stop the loop. Batches begin at least `linger` seconds apart: a lone
    event is applied at once, and under load many share the cost of a batch. After a batch of a quarter of `batch` or
    more there is no wait."""

    batch: int = 500
    linger: float = 0.0
    dead_letters: int = 100
    dead_letter_seconds: float = 3600.0
    delays: Delays = field(default_factory=Delays)


class ConsumerLoop:
    """One consumer group member of a service."""

    def __init__(
        self,
        log: EventLog,
        group: str,
        topics: Sequence[str],
        handler: Handler,
        clock: Clock,
        metrics: Metrics,
        limits: ConsumerLimits = ConsumerLimits(),
    ) -> None:
        self._log = log
        self._group = group
        self._topics = topics
        self._handler = handler
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._dead: deque[float] = deque()
        self._stopping = False
        self._waiting: asyncio.Task[Any] | None = None
        self._logger = get_logger("consumer").bind(group=group)

    async def run(self) -> None:
        """Consume until `stop`. Raises `DeadLetterLimit`; waits while a dependency is unavailable."""
        consumer = self._log.consumer(self._group, self._topics)
        try:
            await self._persist(consumer.__aenter__)
            next_batch = 0.0
            while True:
                if (early := next_batch - self._clock.monotonic()) > 0:
                    await self._interruptible(self._clock.sleep(early))
                records = await self._persist(lambda: consumer.poll(self._limits.batch))
                # A consumer with a large backlog does not wait for more records.
                few = len(records) < self._limits.batch // 4
                next_batch = self._clock.monotonic() + (self._limits.linger if few else 0)
                await self._apply(await self._decoded(records))
                await reach(FailPoint.BEFORE_COMMIT)
                await self._commit(consumer, records)
        except _Stopped:
            return
        finally:
            await consumer.__aexit__(None, None, None)

    def stop(self) -> None:
        """End `run` after the current batch; at once if it is waiting for records or for a dependency."""
        self._stopping = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def _commit(self, consumer: Consumer, records: Sequence[Record]) -> None:
        """Commit applied records, even while stopping; but only a loop that is not stopping waits for an unavailable
        log."""
        try:
            await consumer.commit(records)
        except DependencyUnavailable as error:
            self._logger.warning("event log unavailable", error=error, attempt=0)
            await self._persist(lambda: consumer.commit(records))

    async def _decoded(self, records: Sequence[Record]) -> list[Delivery]:
        deliveries = []
        for record in records:
            try:
                deliveries.append(Delivery(record, decode(record.payload)))
            except UndecodableEvent as error:
                await self._append_dead_letter(record, "", str(error))
        return deliveries

    async def _apply(self, batch: Sequence[Delivery]) -> None:
        attempt = 0
        while batch:
            try:
                await self._handler(batch)
                return
            except Poison as poison:
                await self._append_dead_letter(poison.delivery.record, poison.delivery.event.trace, poison.reason)
                batch = [delivery for delivery in batch if delivery is not poison.delivery]
            except Exception as error:
                if not (isinstance(error, Backoff) or (isinstance(error, GantryError) and error.retryable)):
                    await self._halve(batch, error)
                    return
                self._metrics.consumer_retries.labels(self._group).inc()
                self._logger.warning("batch postponed", error=error, events=len(batch), attempt=attempt)
                await self._pause(attempt)
                attempt += 1

    async def _halve(self, batch: Sequence[Delivery], error: Exception) -> None:
        """An event of `batch` makes the handler raise an unexpected error: find that event, and apply the others."""
        if len(batch) == 1:
            self._logger.error("event cannot be applied", error=error, offset=batch[0].record.offset)
            await self._append_dead_letter(batch[0].record, batch[0].event.trace, f"unexpected {type(error).__name__}")
            return
        middle = len(batch) // 2
        await self._apply(batch[:middle])
        await self._apply(batch[middle:])

    async def _append_dead_letter(self, record: Record, trace: str, reason: str) -> None:
        """Append one event to the dead letters; a limit stops a fault in our code from moving the whole log there."""
        now = self._clock.monotonic()
        while self._dead and self._dead[0] <= now - self._limits.dead_letter_seconds:
            self._dead.popleft()
        if len(self._dead) >= self._limits.dead_letters:
            seconds = self._limits.dead_letter_seconds
            raise DeadLetterLimit(f"{self._group}: {len(self._dead)} dead letters in {seconds:g} s; consumer stopped")
        self._dead.append(now)
        letter = DeadLetter(
            partition=DEFAULT_PARTITION,
            trace=trace,
            group=self._group,
            topic=record.topic,
            offset=record.offset,
            reason=reason,
            failed_at=self._clock.now_us(),
            # An undecodable record is stored as it is, as long as the topic retains it.
            payload=without_header(record.payload) or record.payload,
        )
        await self._persist(lambda: self._log.append(letter))
        self._metrics.dead_letters.labels(self._group).inc()
        name = letter_id(letter)
        self._logger.error("dead letter", letter=name, topic=record.topic, offset=record.offset, reason=reason)

    async def _persist(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `call`, which is repeated while the log is unavailable."""
        attempt = 0
        while True:
            try:
                return await self._interruptible(call())
            except DependencyUnavailable as error:
                self._logger.warning("event log unavailable", error=error, attempt=attempt)
                await self._pause(attempt)
                attempt += 1

    async def _pause(self, attempt: int) -> None:
        await self._interruptible(self._clock.sleep(self._limits.delays.after(attempt)))

    async def _interruptible(self, call: Coroutine[Any, Any, T]) -> T:
        """Await `call`, which `stop` may cut short; raises `_Stopped` then."""
        if self._stopping:
            call.close()
            raise _Stopped
        waiting: asyncio.Task[T] = asyncio.ensure_future(call)
        self._waiting = waiting
        try:
            return await waiting
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._stopping and (task is None or not task.cancelling()):
                raise _Stopped from None
            raise
        finally:
            self._waiting = None


async def report_lag(log: EventLog, groups: Sequence[str], clock: Clock, metrics: Metrics) -> None:
    """Update the lag gauges of `groups`, for ever."""
    while True:
        for group in groups:
            try:
                for topic, records in (await log.lag(group)).items():
                    metrics.consumer_lag.labels(group, topic).set(records)
            except DependencyUnavailable:
                metrics.dependency_failures.labels("event log").inc()
        await clock.sleep(_LAG_EVERY_SECONDS)
