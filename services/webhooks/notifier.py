"""Notifies subscribers: one process of all does, and another one takes over when it is gone.

Members of a consumer group wait for the one partition of the topic of subscriptions. The one that gets its records
publishes this (`NotifierBegan`), and notifies subscribers until another one publishes the same: so there is one at a
time, whatever the group does meanwhile. It commits nothing, so the next member gets records at once.

What a subscriber accepted is on the log before the next notification is made; after a crash in between it is sent
again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from secrets import token_hex

from gantry.common.clock import Clock
from gantry.common.config.subscription_sections import SubscriptionSettings
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import NotifierBegan
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.log import Consumer, EventLog
from gantry.common.runtime.auditing.trail import AuditTrail
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.followed_subscriptions import SUBSCRIPTIONS, FollowedSubscriptions
from gantry.common.runtime.subscribed_studies import SubscribedStudies
from gantry.common.subscriptions.fold import Subscriptions
from gantry.common.subscriptions.model import Status
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.webhooks.posting import Poster
from gantry.services.webhooks.subscribers import Subscribers
from gantry.services.webhooks.telling import Telling

GROUP = "subscriptions-notifier"
_LOOK_AGAIN = 5.0
logger = get_logger("subscriptions")


class Notifier:
    """One per process."""

    def __init__(
        self,
        log: EventLog,
        followed: FollowedSubscriptions,
        studies: SubscribedStudies,
        subscribers: Subscribers,
        poster: Poster,
        settings: SubscriptionSettings,
        clock: Clock,
        metrics: Metrics,
        audit: AuditTrail,
    ) -> None:
        self._log = log
        self._followed = followed
        self._parts = followed, studies, subscribers, poster, settings, clock, metrics, audit
        self._clock = clock
        self._metrics = metrics
        self._name = token_hex(8)
        self._delays = Delays()
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._running: list[asyncio.Task[None]] = []
        self._stopping = False

    async def run(self) -> None:
        """Work until cancelled or stopped."""
        self._running = [asyncio.create_task(self._take_turns()), asyncio.create_task(self._look_after())]
        try:
            await asyncio.gather(*self._running)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            await end_tasks(*self._running, *self._telling.values())

    async def stop(self) -> None:
        """End `run`: the next process sends the remaining notifications."""
        self._stopping = True
        await end_tasks(*self._running, *self._telling.values())

    async def _take_turns(self) -> None:
        attempt = 0
        while True:
            try:
                async with self._log.consumer(GROUP, [SUBSCRIPTIONS]) as consumer:
                    while True:
                        await self._begin(consumer)
                        attempt = 0
            except DependencyUnavailable as error:
                logger.warning("notifications may be delayed", error=error, attempt=attempt)
            await self._clock.sleep(self._delays.after(attempt))
            attempt += 1

    async def _begin(self, consumer: Consumer) -> None:
        """Wait until this member gets records, and publish that this process notifies subscribers."""
        await consumer.poll()
        await consumer.commit([])
        if (await self._followed.latest()).notifier != self._name:
            begun = NotifierBegan(DEFAULT_PARTITION, "", "*", self._name, self._clock.now_us())
            await self._followed.tell(begun)
            logger.info("this process notifies subscribers")

    async def _look_after(self) -> None:
        """Run a task for each active subscription, while it is this process's turn."""
        while True:
            known = self._followed.known
            on = {name for name, subscription in known.all() if subscription.status is not Status.OFF}
            if known.notifier != self._name:
                on = set()
            for name in [name for name in self._telling if name not in on or self._telling[name].done()]:
                await end_tasks(self._telling.pop(name))
            for name in on - self._telling.keys():
                self._telling[name] = asyncio.create_task(self._tell(name))
            self._count(known if known.notifier == self._name else Subscriptions())
            await self._followed.until_changed(_LOOK_AGAIN)

    async def _tell(self, name: str) -> None:
        telling = Telling(name, *self._parts)
        attempt = 0
        while True:
            try:
                await telling.run()
                return
            except DependencyUnavailable as error:
                logger.warning("a notification is delayed", subscription=name, error=error, attempt=attempt)
            except Exception as error:
                # A fault here must not end the notification of others.
                logger.error("a subscription failed", subscription=name, error=error)
            await self._clock.sleep(self._delays.after(attempt))
            attempt += 1

    def _count(self, known: Subscriptions) -> None:
        counted = Counter(subscription.status for _, subscription in known.all())
        for status in Status:
            self._metrics.subscriptions_open.labels(status.value).set(counted[status])
