"""Who is told what happens to workitems (PS3.4 CC.2.3, pure).

A subscription is of one workitem, of all (global), or of all that match a filter. Of what one AE title said of one
target the newest word stands; for a workitem, of all words that are about it, the newest. So nothing has to be written
for each workitem when somebody subscribes to all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.standard.sop_classes import UPS_FILTERED_GLOBAL_SUBSCRIPTION, UPS_GLOBAL_SUBSCRIPTION
from gantry.common.errors import GantryError, NotUnderstood
from gantry.common.events import WorkitemSubscribed, WorkitemSubscriptionSuspended, WorkitemUnsubscribed
from gantry.common.orders import Verdict, is_apart, pack, unpack
from gantry.common.statuses import (
    INVALID_ARGUMENT_VALUE,
    PROCESSING_FAILURE,
    WORKITEM_ACTION_NOT_APPROPRIATE,
    WORKITEM_UNKNOWN,
)
from gantry.common.workitems.model import Workitem
from gantry.common.workitems.questions import WorkitemQuery, workitem_conditions

SubscriptionEvent = WorkitemSubscribed | WorkitemUnsubscribed | WorkitemSubscriptionSuspended
GLOBAL = frozenset((UPS_GLOBAL_SUBSCRIPTION, UPS_FILTERED_GLOBAL_SUBSCRIPTION))


@dataclass(frozen=True, slots=True)
class WorkitemSubscription:
    """What `subscriber` said last of `target`, a workitem or a well-known UID, at the time `at` (microseconds since the
    epoch). `keys` is the filter, packed, b"" for none. `suspended_at` is 0 while workitems to come are meant, too. It
    has stood `since` then, however often it was said again."""

    partition: str
    subscriber: str
    target: str
    at: int
    stands: bool = True
    lock: bool = False
    keys: bytes = b""
    suspended_at: int = 0
    since: int = 0

    def is_about(self, workitem: Workitem) -> bool:
        """Whether it says anything of a workitem. What is unsubscribed says that nobody is told."""
        if self.target not in GLOBAL:
            return self.target == workitem.uid
        if not self.stands:
            return True
        if self.suspended_at and workitem.created_at > self.suspended_at:
            return False
        return not self.keys or _matches(self.keys, workitem)


def filter_of(identifier: Identifier) -> dict[int, list[object]]:
    """The keys of a filter, as an event carries them. Raises `NotUnderstood` for one with sequences, `IdentifierError`
    for what cannot be matched."""
    if any(item.keys for item in identifier.items.values()):
        raise NotUnderstood("a filter has no sequences here")
    workitem_conditions(identifier)
    return {tag: list(values) for tag, values in identifier.keys.items() if any(values)}


def fold_subscription(
    before: WorkitemSubscription | None, event: SubscriptionEvent, workitem: Workitem | None
) -> Verdict[WorkitemSubscription]:
    """The verdict on an event, with the DIMSE status to answer, and the subscription after it; `before` is what the
    subscriber said of the target, `workitem` the target where it is one."""
    target = event.sop_instance_uid
    if target not in GLOBAL and workitem is None:
        return Verdict(False, "there is no such workitem", before, WORKITEM_UNKNOWN)
    if isinstance(event, WorkitemSubscriptionSuspended):
        if target not in GLOBAL:
            return Verdict(False, "only global subscriptions are suspended", before, WORKITEM_ACTION_NOT_APPROPRIATE)
        if before is None or not before.stands:
            return Verdict(True, "", before)
        return Verdict(True, "", replace(before, suspended_at=event.at))
    made = WorkitemSubscription(event.partition, event.subscriber, target, event.at, since=event.at)
    if isinstance(event, WorkitemUnsubscribed):
        return Verdict(True, "", replace(made, stands=False))
    if is_apart(event):
        return Verdict(False, "its filter is erased", before, PROCESSING_FAILURE)
    keys = unpack(event.attributes)
    if bool(keys) != (target == UPS_FILTERED_GLOBAL_SUBSCRIPTION):
        words = "a filter is needed here" if not keys else "a filter is for the filtered subscription"
        return Verdict(False, words, before, INVALID_ARGUMENT_VALUE)
    packed = pack(keys) if keys else b""
    # Who subscribes again, after a restart, misses nothing of what happened meanwhile.
    same = before is not None and before.stands and before.keys == packed
    since = before.since if before is not None and same else event.at
    return Verdict(True, "", replace(made, lock=event.deletion_lock, keys=packed, since=since))


@dataclass(frozen=True, slots=True)
class WorkitemRecipient:
    """Who is told of a workitem, since when, and whether it is kept for him."""

    subscriber: str
    since: int
    lock: bool


def recipients_of(workitem: Workitem, subscriptions: Iterable[WorkitemSubscription]) -> list[WorkitemRecipient]:
    """Who is told of a workitem, by all that was said of it and of all of them; by AE title."""
    subscribers: dict[str, WorkitemRecipient] = {}
    ended: dict[str, int] = {}
    for subscription in sorted(subscriptions, key=lambda subscription: (subscription.at, subscription.target)):
        if not subscription.is_about(workitem):
            continue
        before = subscribers.pop(subscription.subscriber, None)
        if not subscription.stands:
            ended[subscription.subscriber] = subscription.at
            continue
        since = subscription.since if subscription.since > ended.get(subscription.subscriber, 0) else subscription.at
        subscribers[subscription.subscriber] = WorkitemRecipient(
            subscription.subscriber, since if before is None else min(since, before.since), subscription.lock
        )
    return [subscribers[name] for name in sorted(subscribers)]


def _matches(keys: bytes, workitem: Workitem) -> bool:
    try:
        conditions = workitem_conditions(Identifier(unpack(keys)))
        return WorkitemQuery(workitem.partition, conditions).predicate()(workitem.document)
    except GantryError:
        return False
