"""Notifies one subscriber: a handshake first, then the changes, in order, one notification at a time; heartbeats if
there are none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

from gantry.common.access import Identity, Sight
from gantry.common.clock import Clock
from gantry.common.config.subscription_sections import SubscriptionSettings
from gantry.common.errors import NotUnderstood
from gantry.common.events import SubscriberNotified, SubscriptionEventsCounted, SubscriptionStatusChanged
from gantry.common.fhir.r5 import as_r5
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.runtime.auditing.trail import AuditTrail
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.followed_subscriptions import FollowedSubscriptions
from gantry.common.runtime.subscribed_studies import SubscribedStudies
from gantry.common.subscriptions.endpoints import allowed_endpoint
from gantry.common.subscriptions.fold import Noted, Subscription
from gantry.common.subscriptions.forms import FORMS
from gantry.common.subscriptions.model import Content, Release, Status, SubscriptionRequest
from gantry.common.subscriptions.notifications import NotifiedEvent
from gantry.common.subscriptions.reading import FHIR_JSON
from gantry.common.subscriptions.resources import NotificationType
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.audited import audit_result
from gantry.services.webhooks.posting import Poster, Unreachable
from gantry.services.webhooks.subscribers import Subscribers

_DAY_US = 24 * 3600 * 1_000_000
_COUNT_US, _COUNT_AGAIN_US = _DAY_US, 14 * _DAY_US
"""How long after its last publication the number of events is published again: with new events, and without, since the
log drops it after 30 days."""
_LOOK_AGAIN = 30.0
logger = get_logger("subscriptions")


@dataclass(frozen=True, slots=True)
class _Subscriber:
    wanted: SubscriptionRequest
    identity: Identity
    sight: Sight


class Telling:
    """The notifications of one subscription."""

    def __init__(
        self,
        name: str,
        followed: FollowedSubscriptions,
        studies: SubscribedStudies,
        subscribers: Subscribers,
        poster: Poster,
        settings: SubscriptionSettings,
        clock: Clock,
        metrics: Metrics,
        audit: AuditTrail,
    ) -> None:
        self._name = name
        self._followed = followed
        self._studies = studies
        self._subscribers = subscribers
        self._poster = poster
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._audit = audit
        self._delays = Delays(settings.retry_first, settings.retry_longest)
        self._attempt = 0
        self._failing: float | None = None
        self._last_post = clock.monotonic()
        """When its subscriber was last notified."""

    async def run(self) -> None:
        """Notify until the subscription is off. Raises `DependencyUnavailable`: nothing is lost then."""
        await self._followed.latest()
        while True:
            # Notifications of this process were read back before it continued.
            known = self._followed.known.named(self._name)
            if known is None or known.status is Status.OFF:
                return
            if over := self._over(known):
                await self._set_status(Status.OFF, over)
                return
            try:
                opened = self._subscribers.opened(known)
            except NotUnderstood as error:
                # Another process may have the secret, and this one may get it later.
                if known.status is not Status.ERROR:
                    await self._set_status(Status.ERROR, str(error))
                await self._followed.until_changed(_LOOK_AGAIN)
                continue
            try:
                subscriber = self._subscriber(*opened)
            except NotUnderstood as error:
                await self._set_status(Status.OFF, str(error))
                return
            await self._count(known)
            due = self._due(known, subscriber.wanted)
            if due is None:
                await self._followed.until_changed(self._idle(subscriber.wanted))
                continue
            await self._tell(known, subscriber, *due)

    def _subscriber(self, wanted: SubscriptionRequest, identity: Identity) -> _Subscriber:
        """The subscriber. Raises `NotUnderstood`, in words, if it may not be notified."""
        allowed_endpoint(wanted.endpoint, self._settings.endpoints)
        return _Subscriber(wanted, identity, self._subscribers.sight(identity))

    def _over(self, known: Subscription) -> str:
        """Why the subscription has ended; "" if it has not."""
        now = self._clock.now_us()
        if known.created is not None and now >= known.created.ends_at:
            return "its end is reached"
        if known.status is Status.ERROR and now >= known.since + int(self._settings.give_up * _DAY_US):
            return f"its endpoint took nothing for {self._settings.give_up:g} days"
        return ""

    def _due(self, known: Subscription, wanted: SubscriptionRequest) -> tuple[NotificationType, Sequence[Noted]] | None:
        """The notification that is due now; None if there is none."""
        if not known.greeted:
            return NotificationType.HANDSHAKE, ()
        if events := known.waiting(wanted.most):
            return NotificationType.EVENTS, events
        # In error: try whether the subscriber accepts notifications again.
        silent = self._clock.monotonic() - self._last_post
        if known.status is Status.ERROR or (wanted.heartbeat and silent >= wanted.heartbeat):
            return NotificationType.HEARTBEAT, ()
        return None

    def _idle(self, wanted: SubscriptionRequest) -> float:
        if not wanted.heartbeat:
            return _LOOK_AGAIN
        return max(0.05, min(_LOOK_AGAIN, self._last_post + wanted.heartbeat - self._clock.monotonic()))

    async def _tell(
        self, known: Subscription, to: _Subscriber, kind: NotificationType, events: Sequence[Noted]
    ) -> None:
        notices = [
            await self._studies.notified_event(event, to.wanted, to.identity.facts, to.sight) for event in events
        ]
        failed = await self._post(known, to.wanted, kind, notices)
        if failed:
            await self._failed(known, failed)
            return
        self._attempt, self._failing, self._last_post = 0, None, self._clock.monotonic()
        if events:
            accepted = SubscriberNotified(DEFAULT_PARTITION, "", self._name, events[-1].event, self._clock.now_us())
            await self._followed.tell(accepted)
        if known.status is not Status.ACTIVE:
            await self._set_status(Status.ACTIVE, "")

    async def _post(
        self, known: Subscription, wanted: SubscriptionRequest, kind: NotificationType, notices: Sequence[NotifiedEvent]
    ) -> str:
        """Why the notification was not accepted; "" if it was."""
        unique, now = str(uuid4()), self._clock.now_us()
        urls, tell = self._studies.urls.of(wanted.release), FORMS[wanted.release].notification
        bundle = tell(self._name, known, wanted.content, kind, urls, notices, now, unique)
        if wanted.release is Release.R5:
            bundle = as_r5(bundle)
        body = json.dumps(bundle, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {name: value.strip() for name, _, value in (line.partition(":") for line in wanted.headers)}
        headers["Content-Type"] = FHIR_JSON
        timeout = min(wanted.timeout or self._settings.timeout, self._settings.timeout)
        try:
            status = await self._poster.post(wanted.endpoint, body, headers, timeout)
        except Unreachable as error:
            self._metrics.subscription_posts.labels(kind.value, "unreachable").inc()
            return f"no answer ({error})"
        failed = "" if 200 <= status < 300 else f"the answer was {status}"
        self._metrics.subscription_posts.labels(kind.value, "refused" if failed else "accepted").inc()
        self._record(known, wanted, notices, failed)
        return failed

    def _record(
        self, known: Subscription, wanted: SubscriptionRequest, notices: Sequence[NotifiedEvent], failed: str
    ) -> None:
        """Record, for each named study, who was notified."""
        if known.created is None or wanted.content is Content.EMPTY:
            return
        receiver = known.created.by, urlsplit(wanted.endpoint).hostname or ""
        for notice in notices:
            if notice.seen:
                study, trace = notice.noted.study_instance_uid, notice.noted.trace
                audit_result(self._audit, study, ("", ""), receiver, trace, failed, "FHIR Subscription")

    async def _failed(self, known: Subscription, why: str) -> None:
        now = self._clock.monotonic()
        self._failing = now if self._failing is None else self._failing
        if known.status is not Status.ERROR and now - self._failing >= self._settings.error_after:
            await self._set_status(Status.ERROR, f"its endpoint does not take notifications: {why}")
        logger.warning("notification not accepted", subscription=self._name, why=why, attempt=self._attempt)
        await self._clock.sleep(self._delays.after(self._attempt))
        self._attempt += 1

    async def _set_status(self, status: Status, why: str) -> None:
        changed = SubscriptionStatusChanged(
            DEFAULT_PARTITION, "", self._name, status.value, why, "", self._clock.now_us()
        )
        await self._followed.tell(changed)
        self._metrics.subscriptions_changed.labels(status.value).inc()
        log = logger.info if status is Status.ACTIVE else logger.warning
        log("subscription changed", subscription=self._name, status=status.value, why=why)

    async def _count(self, known: Subscription) -> None:
        """Publish the number of events now and then."""
        now = self._clock.now_us()
        begun = known.counted_at or (known.created.at if known.created is not None else now)
        after = _COUNT_US if known.number > known.counted else _COUNT_AGAIN_US
        if not known.number or now < begun + after:
            return
        about = self._name, known.last_event, known.number, now
        await self._followed.tell(SubscriptionEventsCounted(DEFAULT_PARTITION, "", *about))
