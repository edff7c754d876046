"""Unified Procedure Steps, which PS3.18 calls workitems: their state machine (PS3.4 CC.1.1), what they need, what
can be asked of them, and who is told what happens to them (pure).

What belongs here: the state of a workitem as a frozen value, the verdict on an event and the workitem after it, with
the DIMSE status to answer. What does not: stores, clocks, sockets, statuses of HTTP.

Every process folds the log in its order, so of two workers that claim one workitem at once all processes agree who has
it.
"""

from gantry.common.workitems.fold import WorkitemEvent, fold_workitem, refused_as_erased
from gantry.common.workitems.model import FINAL, Workitem, WorkitemState, lock_of
from gantry.common.workitems.questions import WorkitemQuery
from gantry.common.workitems.subscriptions import (
    SubscriptionEvent,
    WorkitemRecipient,
    WorkitemSubscription,
    fold_subscription,
    recipients_of,
)

__all__ = [
    "FINAL",
    "SubscriptionEvent",
    "Workitem",
    "WorkitemEvent",
    "WorkitemQuery",
    "WorkitemRecipient",
    "WorkitemState",
    "WorkitemSubscription",
    "fold_subscription",
    "fold_workitem",
    "lock_of",
    "recipients_of",
    "refused_as_erased",
]
