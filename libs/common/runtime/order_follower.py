"""Reading the log into the projection, and returning verdicts to the callers that wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, UndecodableEvent
from gantry.common.events import (
    TOPICS,
    OrderErased,
    OrderPlaced,
    ProcedureStepCreated,
    ProcedureStepErased,
    WorkitemCreated,
    WorkitemErased,
    WorkitemUnsubscribed,
    decode,
)
from gantry.common.orders import OrderEvent, StepEvent, ValuedEvent
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog, Record
from gantry.common.ports.orders import AnyVerdict, FoldedEvent, OrderIndex
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.order_values import by_size, read_values
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.workitems import SubscriptionEvent, WorkitemEvent

FOLLOWED = tuple(TOPICS[cls].name for cls in (OrderPlaced, ProcedureStepCreated, WorkitemCreated))
_REMOVED_AT_ONCE = 64
_ERASING = (OrderErased, ProcedureStepErased, WorkitemErased, WorkitemUnsubscribed)
logger = get_logger("orders")


class Follower:
    """Follows the topics from their beginning: the log keeps them for ever, and `gantry restore` brings them back from
    the bucket, so the log is all that a projection needs, with the objects that its events name. While a store is
    unavailable, it waits."""

    def __init__(
        self,
        objects: BlobStore,
        log: EventLog,
        orders: OrderIndex,
        clock: Clock,
        metrics: Metrics,
        delays: Delays | None = None,
    ) -> None:
        self._objects = objects
        self._log = log
        self._orders = orders
        self._clock = clock
        self._metrics = metrics
        self._delays = delays or Delays(longest=5.0)
        self._waiting: dict[str, list[asyncio.Future[AnyVerdict]]] = {}
        self._own: dict[str, ValuedEvent] = {}
        self._places: dict[str, dict[int, int]] = {topic: {} for topic in FOLLOWED}
        self.reads_everything = True
        """Whether all events so far could be read, so that none is of a newer release."""
        self._behind: dict[str, asyncio.Event] = {topic: asyncio.Event() for topic in FOLLOWED}

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for topic in FOLLOWED:
                tasks.create_task(self._follow(topic))

    async def caught_up(self) -> None:
        """Return when everything has been read that was on the log when it was first reached."""
        for reached in self._behind.values():
            await reached.wait()

    def has_read(self, ends: Mapping[str, Mapping[int, int]]) -> bool:
        """Whether everything before these ends, by topic, is in the projection."""
        return all(
            self._places[topic].get(partition, 0) >= end
            for topic, ends_of in ends.items()
            for partition, end in ends_of.items()
        )

    def expect(self, event: FoldedEvent) -> asyncio.Future[AnyVerdict]:
        """The verdict on an event that is about to be appended. Call `forget` when it is no longer needed."""
        future: asyncio.Future[AnyVerdict] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(event.change, []).append(future)
        return future

    def remember(self, event: ValuedEvent) -> None:
        """Cache the values of an event that is about to be appended, so that they need not be read back."""
        self._own[event.values_key] = event

    def forget(self, event: FoldedEvent, future: asyncio.Future[AnyVerdict]) -> None:
        """This verdict is no longer awaited."""
        futures = self._waiting.get(event.change, [])
        if future in futures:
            futures.remove(future)
        if not futures:
            self._waiting.pop(event.change, None)
        if isinstance(event, ValuedEvent):
            self._own.pop(event.values_key, None)

    async def _follow(self, topic: str) -> None:
        places = self._places[topic]
        attempt = 0
        while True:
            try:
                ends = await self._log.ends(topic)
                places.update({partition: places.get(partition, 0) for partition in ends})
                async with aclosing(self._log.follow(topic, None, dict(places))) as following:
                    async for passed in following:
                        await self._apply(passed.records)
                        await reach(FailPoint.AFTER_FOLD)
                        places.update(passed.ends)
                        attempt = 0
                        if all(places[partition] >= end for partition, end in ends.items()):
                            self._behind[topic].set()
            except DependencyUnavailable as error:
                logger.warning("orders cannot be followed for now", topic=topic, error=error)
            await self._clock.sleep(self._delays.after(attempt))
            attempt += 1

    async def _apply(self, records: Sequence[Record]) -> None:
        for run in by_size(event for record in records if (event := self._event(record)) is not None):
            await self._apply_run(run)

    async def _apply_run(self, run: Sequence[FoldedEvent]) -> None:
        known = [self._own.get(event.values_key, event) if isinstance(event, ValuedEvent) else event for event in run]
        events = await read_values(self._objects, known)
        verdicts = await self._orders.apply(events)
        if any(isinstance(event, _ERASING) for event in events):
            await self.remove_erased()
        for event in events:
            kind = type(event).__name__
            self._metrics.order_events.labels(kind, "accepted" if verdicts[event.change].accepted else "refused").inc()
            for future in self._waiting.pop(event.change, ()):
                if not future.done():
                    future.set_result(verdicts[event.change])

    async def remove_erased(self) -> None:
        """Remove the objects with erased values; if a process dies before it does so, the next one does. Raises
        `DependencyUnavailable`."""
        while keys := await self._orders.erased_objects(_REMOVED_AT_ONCE):
            await reach(FailPoint.BEFORE_ERASE)
            await asyncio.gather(*map(self._objects.delete, keys))
            await self._orders.forget_objects(keys)

    def _event(self, record: Record) -> FoldedEvent | None:
        try:
            event = decode(record.payload)
        except UndecodableEvent as error:
            # An event of a newer release. It is not lost: that release reads it when it runs here.
            logger.error("event of an order cannot be read", topic=record.topic, offset=record.offset, error=error)
            self.reads_everything = False
            return None
        return event if isinstance(event, OrderEvent | StepEvent | WorkitemEvent | SubscriptionEvent) else None
