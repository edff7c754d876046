"""Reading the log into the projection, and telling those who wait what was decided on their events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, UndecodableEvent
from gantry.common.events import TOPICS, OrderPlaced, ProcedureStepCreated, decode
from gantry.common.orders import OrderEvent, StepEvent
from gantry.common.ports.log import EventLog, Record
from gantry.common.ports.orders import AnyVerdict, FoldedEvent, OrderIndex
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

FOLLOWED = (TOPICS[OrderPlaced].name, TOPICS[ProcedureStepCreated].name)
logger = get_logger("orders")


class Follower:
    """Follows both topics from their beginning: the log keeps them for ever, and `gantry restore` brings them back from
    the bucket, so the log is all that a projection needs."""

    def __init__(
        self, log: EventLog, orders: OrderIndex, clock: Clock, metrics: Metrics, delays: Delays | None = None
    ) -> None:
        self._log = log
        self._orders = orders
        self._clock = clock
        self._metrics = metrics
        self._delays = delays or Delays(longest=5.0)
        self._waiting: dict[str, list[asyncio.Future[AnyVerdict]]] = {}
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

    def expect(self, change: str) -> asyncio.Future[AnyVerdict]:
        """The verdict on an event that is about to be appended. Call `forget` when nobody waits for it any more."""
        future: asyncio.Future[AnyVerdict] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(change, []).append(future)
        return future

    def forget(self, change: str, future: asyncio.Future[AnyVerdict]) -> None:
        """Nobody waits for this verdict."""
        futures = self._waiting.get(change, [])
        if future in futures:
            futures.remove(future)
        if not futures:
            self._waiting.pop(change, None)

    async def _follow(self, topic: str) -> None:
        places: dict[int, int] = {}
        attempt = 0
        while True:
            try:
                ends = await self._log.ends(topic)
                places = {partition: places.get(partition, 0) for partition in ends}
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
        events = [event for record in records if (event := _event(record)) is not None]
        if not events:
            return
        verdicts = await self._orders.apply(events)
        for event in events:
            kind = type(event).__name__
            self._metrics.order_events.labels(kind, "accepted" if verdicts[event.change].accepted else "refused").inc()
            for future in self._waiting.pop(event.change, ()):
                if not future.done():
                    future.set_result(verdicts[event.change])


def _event(record: Record) -> FoldedEvent | None:
    try:
        event = decode(record.payload)
    except UndecodableEvent as error:
        # Of a newer release. It is not lost: that release reads it when it runs here.
        logger.error("event of an order cannot be read", topic=record.topic, offset=record.offset, error=error)
        return None
    return event if isinstance(event, OrderEvent | StepEvent) else None
