"""What became of each subscription, as events tell it. Pure: every process folds the same events in the order of the
log, so all of them number the events of a subscription alike. Times are microseconds since the epoch.

The log forgets what was noted long ago. `SubscriptionEventsCounted` names the number of an event: who has read that
event moves his numbers to it, and who has not adds them to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import get_args

from gantry.common.events import (
    Event,
    NotifierBegan,
    SubscribedStudyNoted,
    SubscriberNotified,
    SubscriptionCreated,
    SubscriptionDeleted,
    SubscriptionEventsCounted,
    SubscriptionStatusChanged,
)
from gantry.common.subscriptions.model import Status

MOST_KEPT = 1000
"""Events of a subscription that are remembered: what waits, and what `$events` says again."""
_OfOne = (
    SubscriptionCreated
    | SubscriptionStatusChanged
    | SubscribedStudyNoted
    | SubscriberNotified
    | SubscriptionEventsCounted
)
_OF_ONE = get_args(_OfOne)
CREATED, UPDATED, DELETED = "created", "updated", "deleted"
"""What happened to a study, as `SubscribedStudyNoted.kind` says it."""


@dataclass(frozen=True, slots=True)
class Noted:
    """An event of a subscription."""

    number: int
    event: str
    study_instance_uid: str
    kind: str
    at: int
    trace: str


@dataclass(slots=True)
class Subscription:
    """A subscription, as far as events tell of it. `number` is that of its last event, `told` of the last that its
    subscriber accepted; `counted` of the last that the log was told (`SubscriptionEventsCounted`)."""

    created: SubscriptionCreated | None = None
    status: Status = Status.REQUESTED
    reason: str = ""
    since: int = 0
    """When it got its status."""
    number: int = 0
    told: int = 0
    counted: int = 0
    counted_at: int = 0
    last_event: str = ""
    greeted: bool = False
    """Whether its subscriber accepted a handshake since it was requested last."""
    kept: dict[str, Noted] = field(default_factory=dict)
    """By the names of events, the last `MOST_KEPT`, in order."""

    def waiting(self, most: int) -> list[Noted]:
        """The first events that its subscriber has not accepted."""
        notes: list[Noted] = []
        for note in self.kept.values():
            if note.number > self.told and len(notes) < most:
                notes.append(note)
        return notes

    def between(self, first: int, last: int, most: int) -> list[Noted]:
        """The events with these numbers that are remembered, `most` at most."""
        return [note for note in self.kept.values() if first <= note.number <= last][:most]

    def last_of(self, study: str) -> Noted | None:
        """What was noted last of a study; None where that is nothing that is remembered."""
        return next((note for note in reversed(self.kept.values()) if note.study_instance_uid == study), None)

    def note(self, event: SubscribedStudyNoted) -> None:
        """The next event. One that came before changes nothing."""
        if event.event in self.kept:
            return
        self.number += 1
        self.last_event = event.event
        about = event.study_instance_uid, event.kind, event.at, event.trace
        self.kept[event.event] = Noted(self.number, event.event, *about)
        if len(self.kept) > MOST_KEPT:
            del self.kept[next(iter(self.kept))]

    def count(self, event: SubscriptionEventsCounted) -> None:
        """Take the number of an event. One that is not remembered is before all that is, if nothing was counted yet."""
        known = self.kept.get(event.event)
        moved = event.number - known.number if known is not None else 0 if self.counted else event.number
        if moved:
            self.number += moved
            self.told += moved
            self.kept = {name: replace(note, number=note.number + moved) for name, note in self.kept.items()}
        self.counted, self.counted_at = max(self.counted, event.number), event.at
        self.last_event = self.last_event or event.event


class Subscriptions:
    """All subscriptions that are there, and who tells them."""

    def __init__(self) -> None:
        self._by_name: dict[str, Subscription] = {}
        self._gone: set[str] = set()
        self.notifier = ""
        """The process that tells subscribers."""

    def apply(self, event: Event) -> None:
        """Take an event. One that came before changes nothing; the two topics may be read in any order."""
        if isinstance(event, NotifierBegan):
            self.notifier = event.notifier
        elif isinstance(event, SubscriptionDeleted):
            self._by_name.pop(event.subscription, None)
            self._gone.add(event.subscription)
        elif isinstance(event, _OF_ONE) and event.subscription not in self._gone:
            _take(self._by_name.setdefault(event.subscription, Subscription()), event)

    def named(self, name: str) -> Subscription | None:
        """The subscription of this name."""
        subscription = self._by_name.get(name)
        return None if subscription is None or subscription.created is None else subscription

    def all(self) -> Iterator[tuple[str, Subscription]]:
        """All, with their names, the first that was created first."""
        return (
            (name, subscription)
            for name, subscription in list(self._by_name.items())
            if subscription.created is not None
        )

    def of_owner(self, owner: str) -> list[str]:
        """The names of somebody's."""
        return [
            name
            for name, subscription in self.all()
            if subscription.created is not None and subscription.created.owner == owner
        ]


def _take(subscription: Subscription, event: _OfOne) -> None:
    if isinstance(event, SubscriptionCreated):
        if subscription.created is None:
            subscription.created = event
            subscription.since = subscription.since or event.at
    elif isinstance(event, SubscriptionStatusChanged):
        subscription.status, subscription.reason, subscription.since = Status(event.status), event.reason, event.at
        subscription.greeted = subscription.status is Status.ACTIVE or (
            subscription.greeted and subscription.status is not Status.REQUESTED
        )
    elif isinstance(event, SubscribedStudyNoted):
        subscription.note(event)
    elif isinstance(event, SubscriberNotified):
        known = subscription.kept.get(event.event)
        subscription.told = max(subscription.told, 0 if known is None else known.number)
    else:
        subscription.count(event)
