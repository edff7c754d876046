"""Changes of studies, recorded for each subscription that is to be notified.

The order of effects: a change is on the log; the indexers have read it; for each subscription it is checked whether its
subscriber sees and wants the study; `SubscribedStudyNoted` is on the log; only then the offsets are committed. A change
that is noted twice is one event (`gantry.common.subscriptions.fold`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.errors import NotUnderstood
from gantry.common.events import (
    Event,
    InstancesDeleted,
    InstancesMoved,
    InstancesMovedBack,
    InstancesRestored,
    StudyCompleted,
    StudyCorrected,
    StudyCorrectionWithdrawn,
    SubscribedStudyNoted,
)
from gantry.common.events.changes import change_of
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.log import EventLog
from gantry.common.runtime.consumer import Backoff, Delivery
from gantry.common.runtime.followed_subscriptions import FollowedSubscriptions
from gantry.common.runtime.following import has_followed
from gantry.common.runtime.subscribed_studies import Attributes, SubscribedStudies
from gantry.common.subscriptions.fold import CREATED, DELETED, UPDATED, Subscription
from gantry.common.subscriptions.model import Status
from gantry.common.telemetry.logs import get_logger
from gantry.services.webhooks.subscribers import Subscribers

_PATIENCE = 30.0
_TOLD = frozenset((Status.ACTIVE, Status.ERROR))
_CHANGES = (InstancesDeleted, InstancesRestored, StudyCorrected, StudyCorrectionWithdrawn)
_MOVES = (InstancesMoved, InstancesMovedBack)
logger = get_logger("subscriptions")


@dataclass(frozen=True, slots=True)
class StudyNotice:
    """A change of a study: it is complete (`kind` created, or updated if it was complete before), or was changed ("").
    `event` is the change's id in the feed."""

    event: str
    study: str
    kind: str
    at: int
    trace: str


class Noticing:
    """The handler of a consumer loop."""

    def __init__(
        self,
        log: EventLog,
        followed: FollowedSubscriptions,
        studies: SubscribedStudies,
        subscribers: Subscribers,
        clock: Clock,
    ) -> None:
        self._log = log
        self._followed = followed
        self._studies = studies
        self._subscribers = subscribers
        self._clock = clock

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Record the changes. Raises `Backoff` while indexers are behind, `DependencyUnavailable`."""
        happened = list(_latest(batch))
        if not happened:
            return
        subscriptions = [
            (name, subscription)
            for name, subscription in (await self._followed.latest()).all()
            if subscription.status in _TOLD
        ]
        if not subscriptions:
            return
        if not await has_followed(self._log, self._clock, _PATIENCE):
            raise Backoff("the indexers are behind")
        notes: list[SubscribedStudyNoted] = []
        for change in happened:
            for name, known in subscriptions:
                kind = await self._kind(known, change, name)
                if kind:
                    about = name, change.event, change.study, kind, change.at
                    notes.append(SubscribedStudyNoted(DEFAULT_PARTITION, change.trace, *about))
        if notes:
            await self._log.append(*notes)

    async def _kind(self, known: Subscription, change: StudyNotice, name: str) -> str:
        """The kind of notification for a subscriber; "" for none."""
        if known.created is None or change.at < known.created.at:
            return ""
        try:
            wanted, identity = self._subscribers.opened(known)
            sight = self._subscribers.sight(identity)
            study = await self._studies.find(change.study, wanted, identity.facts, sight)
        except NotUnderstood as error:
            # The process that notifies subscribers reports it in its status.
            logger.warning("a notification could not be queued", subscription=name, why=str(error))
            return ""
        return kind_for(known, change, study, all_seen=sight.whole and not wanted.filters)


def kind_for(known: Subscription, change: StudyNotice, study: Attributes | None, *, all_seen: bool) -> str:
    """The kind of notification about a study that the subscriber sees (`study`) or not; "" for none. `all_seen`: the
    subscriber is notified of every study, so one that is not found is gone."""
    before = known.last_of(change.study)
    was_there = before is not None and before.kind != DELETED
    if study is not None:
        back = before is not None and not was_there
        return CREATED if back or (change.kind == CREATED and not was_there) else UPDATED
    # Subscribers must not learn of the existence of a study of which they were never notified.
    return DELETED if not change.kind and (was_there or (all_seen and before is None)) else ""


def _latest(batch: Sequence[Delivery]) -> Iterator[StudyNotice]:
    """The change of each study of the batch, once: the last of several, with completion preferred to other changes."""
    by_study: dict[str, StudyNotice] = {}
    for delivery in batch:
        if delivery.event.partition == DEFAULT_PARTITION:
            for change in happened_in(delivery.event, delivery.record.payload, delivery.record.appended_at):
                before = by_study.pop(change.study, None)
                by_study[change.study] = (
                    change if before is None or change.kind or not before.kind else _merged(before, change)
                )
    yield from by_study.values()


def _merged(complete: StudyNotice, later: StudyNotice) -> StudyNotice:
    return StudyNotice(later.event, later.study, complete.kind, later.at, later.trace)


def happened_in(event: Event, payload: bytes, at: int) -> Iterator[StudyNotice]:
    """The changes of studies in an event that subscribers are notified of."""
    if not isinstance(event, (StudyCompleted, *_CHANGES, *_MOVES)):
        return
    change = change_of(event, payload)
    assert change is not None
    kind = ""
    if isinstance(event, StudyCompleted):
        kind = CREATED if event.added >= event.instances else UPDATED
    yield StudyNotice(change["id"], event.study_instance_uid, kind, at, event.trace)
    if isinstance(event, _MOVES):
        yield StudyNotice(f"{change['id']}-into", event.into_study, kind, at, event.trace)
