"""Posting a batch of changes to one webhook: accepted whole, or retried whole until it is abandoned."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from gantry.common.clock import Clock
from gantry.common.config.settings import WebhookSettings
from gantry.common.events.changes import Json, change_of
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.runtime.consumer import Backoff, Delivery
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.webhooks.posting import Poster, Unreachable
from gantry.services.webhooks.signing import HEADER, signature

_DAY_US = 24 * 3600 * 1_000_000
logger = get_logger("webhooks")


class Webhook:
    """The handler of one webhook's consumer loop. One post is in flight at a time, so the order is that of the log."""

    def __init__(self, settings: WebhookSettings, secret: bytes, clock: Clock, metrics: Metrics) -> None:
        self._settings = settings
        self._secret = secret
        self._clock = clock
        self._metrics = metrics
        self._types: Collection[str] = frozenset(settings.types)
        self._poster = Poster(limit=1)

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Post the changes of the batch. Raises `Backoff` if it was not accepted: the loop waits, longer each time, and
        passes the same batch again, also after a restart."""
        oldest = self._clock.now_us() - int(self._settings.give_up * _DAY_US)
        young = [delivery for delivery in batch if delivery.record.appended_at >= oldest]
        if len(young) < len(batch):
            # The log must not wait for ever for a receiver that is gone: it would retain events that nothing else
            # needs.
            logger.error("changes given up", webhook=self._settings.name, events=len(batch) - len(young))
            self._count("given_up")
        changes = [change for delivery in young if (change := self._change(delivery)) is not None]
        if changes:
            await self._post(changes)
            self._metrics.webhook_changes.labels(self._settings.name).inc(len(changes))

    async def close(self) -> None:
        """Close the connections."""
        await self._poster.close()

    def _change(self, delivery: Delivery) -> Json | None:
        if delivery.event.partition != DEFAULT_PARTITION:
            return None
        change = change_of(delivery.event, delivery.record.payload)
        return change if change is not None and (not self._types or change["type"] in self._types) else None

    async def _post(self, changes: Sequence[Json]) -> None:
        body = json.dumps({"webhook": self._settings.name, "changes": changes}).encode()
        at = self._clock.now_us() // 1_000_000
        headers = {"Content-Type": "application/json", HEADER: signature(self._secret, at, body)}
        try:
            status = await self._poster.post(self._settings.url, body, headers, self._settings.timeout)
        except Unreachable as error:
            self._count("unreachable")
            raise Backoff(f"webhook {self._settings.name}: {error}") from error
        if not 200 <= status < 300:
            self._count("refused")
            raise Backoff(f"webhook {self._settings.name} answered {status}")
        self._count("accepted")
        await reach(FailPoint.AFTER_POST)

    def _count(self, outcome: str) -> None:
        self._metrics.webhook_posts.labels(self._settings.name, outcome).inc()
