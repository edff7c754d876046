"""The subscriptions as one process knows them by following the log; answers are at most two seconds old."""

from __future__ import annotations

import asyncio

from gantry.common.clock import Clock
from gantry.common.events import TOPICS, Event, SubscribedStudyNoted, SubscriptionCreated
from gantry.common.ports.log import EventLog
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.followed_topic import FollowedTopic
from gantry.common.subscriptions.fold import Subscriptions

SUBSCRIPTIONS = TOPICS[SubscriptionCreated].name
NOTIFICATIONS = TOPICS[SubscribedStudyNoted].name
_FRESH_SECONDS = 2.0


class FollowedSubscriptions:
    """Follows both topics from their beginnings. While the log cannot be read, requests fail."""

    def __init__(self, log: EventLog, clock: Clock, delays: Delays | None = None) -> None:
        self._log = log
        self._clock = clock
        self.known = Subscriptions()
        """The subscriptions as far as the log was read."""
        self._topics = [
            FollowedTopic(log, topic, self._take, clock, "subscriptions", delays)
            for topic in (SUBSCRIPTIONS, NOTIFICATIONS)
        ]
        self._changed = asyncio.Event()
        self._confirmed = float("-inf")
        self._confirming = asyncio.Lock()

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for topic in self._topics:
                tasks.create_task(topic.run())

    async def current(self) -> Subscriptions:
        """The subscriptions as they were two seconds ago or later. Raises `DependencyUnavailable`."""
        if self._clock.monotonic() - self._confirmed > _FRESH_SECONDS:
            async with self._confirming:
                if self._clock.monotonic() - self._confirmed > _FRESH_SECONDS:
                    await self.latest()
        return self.known

    async def latest(self) -> Subscriptions:
        """The subscriptions with all that is on the log now. Raises `DependencyUnavailable`."""
        begun = self._clock.monotonic()
        for topic in self._topics:
            await topic.caught_up()
        self._confirmed = max(self._confirmed, begun)
        return self.known

    async def tell(self, *events: Event) -> Subscriptions:
        """Append events, and return the subscriptions with them. Raises `DependencyUnavailable`; the events may be on
        the log even then."""
        await self._log.append(*events)
        return await self.latest()

    async def until_changed(self, seconds: float) -> None:
        """Return when something was read, or after the given time."""
        changed = asyncio.ensure_future(self._changed.wait())
        waited = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait([changed, waited], return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            waited.cancel()

    def _take(self, event: Event) -> None:
        self.known.apply(event)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
