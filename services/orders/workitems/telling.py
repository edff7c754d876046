"""Notification of workitems by N-EVENT-REPORT: accepted events are read from the log and become routes, which processes
of the retrieve role deliver."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gantry.common.clock import Clock
from gantry.common.events import RouteRequested
from gantry.common.ports.log import EventLog
from gantry.common.runtime.consumer import ConsumerLoop, Delivery
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.orders.workitems.happenings import TOPIC, Happenings
from gantry.services.orders.workitems.routes import workitem_routes

GROUP = "workitem-events"
logger = get_logger("orders")


class WorkitemTelling:
    """The handler of the consumer loop."""

    def __init__(
        self, happenings: Happenings, log: EventLog, clock: Clock, is_receiver: Callable[[str], bool], give_up: float
    ) -> None:
        """`is_receiver`: whether the AE policy allows an AE title to be notified, and has its address. Events older
        than `give_up` seconds would have been abandoned, and are not sent."""
        self._happenings = happenings
        self._log = log
        self._clock = clock
        self._is_receiver = is_receiver
        self._give_up_us = int(give_up * 1e6)

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Publish the routes of a batch. Raises `DependencyUnavailable`: then the whole batch comes again, and routes
        published already have the same names."""
        now = self._clock.now_us()
        ends: dict[int, int] = {}
        for delivery in batch:
            ends[delivery.record.partition] = max(delivery.record.offset + 1, ends.get(delivery.record.partition, 0))
        events = [delivery.event for delivery in batch if getattr(delivery.event, "at", now) >= now - self._give_up_us]
        routes: list[RouteRequested] = []
        async for happening in self._happenings.of(events, ends):
            receivers = [
                recipient.subscriber for recipient in happening.told if self._is_receiver(recipient.subscriber)
            ]
            routes += workitem_routes(happening, receivers, now)
        if routes:
            await self._log.append(*routes)
            await reach(FailPoint.AFTER_PUBLISH)
            logger.info("reports on workitems requested", routes=len(routes))

    def loop(self, metrics: Metrics) -> ConsumerLoop:
        """The consumer loop that reads the topic for this handler."""
        return ConsumerLoop(self._log, GROUP, [TOPIC], self, self._clock, metrics)
