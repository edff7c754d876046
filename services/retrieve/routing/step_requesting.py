"""Which routes a message of a modality gets, by the rules of the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gantry.common.clock import Clock
from gantry.common.config.routing_sections import StepRuleSettings
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import TOPICS, Event, OrderErased, ProcedureStepCreated
from gantry.common.orders import is_apart
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.ports.orders import OrderIndex
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.consumer import ConsumerLoop, Delivery
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.order_follower import FOLLOWED, Follower
from gantry.common.runtime.order_values import by_size, read_values, with_values_apart
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.retrieve.routing.step_messages import (
    StepChange,
    StepEventType,
    StepMessage,
    StepRule,
    event_of,
    step_requests,
)

GROUP = "step-routing"
TOPIC_OF_STEPS, TOPIC_OF_ERASURES = TOPICS[ProcedureStepCreated].name, TOPICS[OrderErased].name
_PATIENCE, _LOOK_AGAIN = 30.0, 0.02
logger = get_logger("routing")


def step_rules(settings: Sequence[StepRuleSettings]) -> list[StepRule]:
    """The rules of `routing.steps`."""
    return [StepRule(rule.name, frozenset(rule.sources), rule.to, rule.notify) for rule in settings]


async def followed(log: EventLog, follower: Follower, clock: Clock) -> None:
    """Return when the projection of orders has followed the log up to now. Raises `DependencyUnavailable`."""
    ends = {topic: await log.ends(topic) for topic in FOLLOWED}
    until = clock.monotonic() + _PATIENCE
    while not follower.has_read(ends):
        if clock.monotonic() >= until:
            raise DependencyUnavailable("orders", "they have not been followed yet")
        await clock.sleep(_LOOK_AGAIN)


class StepRequests:
    """The handler of the consumer loop that reads messages about steps. A refused message gets no route: the decision
    is read from the projection, which must have followed the log that far."""

    def __init__(
        self,
        rules: Sequence[StepRule],
        log: EventLog,
        objects: BlobStore,
        orders: OrderIndex,
        follower: Follower,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._log = log
        self._objects = objects
        self._orders = orders
        self._follower = follower
        self._clock = clock
        self.since_us = 0
        """Earlier messages are history, even if a restore has appended them since."""

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Publish the routes of a batch. Raises `DependencyUnavailable`: then the whole batch comes again, and routes
        published already have the same names."""
        read = [delivery.event for delivery in batch if isinstance(delivery.event, StepChange)]
        changes = [event for event in read if event.at >= self.since_us]
        if not changes:
            return
        await followed(self._log, self._follower, self._clock)
        for run in by_size(changes):
            routes = [route for change in await self._accepted(run) for route in await self._routes(change)]
            if routes:
                await self._log.append(*routes)
                await reach(FailPoint.AFTER_PUBLISH)
                logger.info("routes of procedure steps requested", routes=len(routes))

    async def _accepted(self, changes: Sequence[StepChange]) -> list[StepChange]:
        read = await read_values(self._objects, changes)
        verdicts = await self._orders.apply(read)
        return [change for change in read if verdicts[change.change].accepted and not is_apart(change)]

    async def _routes(self, change: StepChange) -> Sequence[Event]:
        now = self._clock.now_us()
        if not isinstance(change, StepMessage):
            return list(step_requests(change, StepEventType.DELETED, self._rules, now))
        message = await with_values_apart(self._objects, change)
        assert isinstance(message, StepMessage)
        return list(step_requests(message, event_of(change), self._rules, now))


class SinceHandler(Protocol):
    """A handler of a consumer loop that skips messages from before `since_us`."""

    since_us: int

    async def __call__(self, batch: Sequence[Delivery]) -> None: ...


class StepRouting:
    """Reads messages about steps, or orders, from the moment when there were rules for them."""

    def __init__(
        self,
        handler: SinceHandler,
        log: EventLog,
        clock: Clock,
        metrics: Metrics,
        longest: float,
        group: str = GROUP,
        topics: Sequence[str] = (TOPIC_OF_STEPS, TOPIC_OF_ERASURES),
    ) -> None:
        """Messages older than `longest` seconds would have been abandoned, and are history as well. The `group` has
        joined if it has read the first of the `topics`."""
        self._group, self._topic = group, topics[0]
        self._handler = handler
        self._log = log
        self._clock = clock
        self._longest = longest
        self._begun_us = clock.now_us()
        self._loop = ConsumerLoop(log, group, sorted(topics), handler, clock, metrics)
        self._stopping = False

    async def run(self) -> None:
        """Read until `stop`."""
        attempt = 0
        while not self._stopping:
            try:
                # A group that has joined may have been stopped before it read everything.
                joined = await self._log.has_passed(self._group, self._topic, {})
                self._handler.since_us = self._begun_us - int(self._longest * 1e6) if joined else self._begun_us
                break
            except DependencyUnavailable as error:
                logger.warning("notifications about procedure steps wait", error=error, attempt=attempt)
                await self._clock.sleep(Delays().after(attempt))
                attempt += 1
        if not self._stopping:
            await self._loop.run()

    def stop(self) -> None:
        """End `run` after the current batch."""
        self._stopping = True
        self._loop.stop()
