"""Requests about workitems, over any protocol, as events."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.common.events import (
    WorkitemCancelRequested,
    WorkitemCreated,
    WorkitemErased,
    WorkitemSet,
    WorkitemStateRequested,
    WorkitemSubscribed,
    WorkitemSubscriptionSuspended,
    WorkitemUnsubscribed,
)
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.orders import Verdict, pack
from gantry.common.workitems import Workitem, WorkitemSubscription, lock_of
from gantry.common.workitems.model import Attributes
from gantry.services.orders.desk import OrderDesk


@dataclass(frozen=True, slots=True)
class Asker:
    """The requester: "ae TITLE", "rest NAME", "archive"; and the trace of the request."""

    source: str
    trace: str = ""


class WorkitemDesk:
    """One event for each call, and the verdict on it. All calls raise `DependencyUnavailable` as those of `OrderDesk`
    do: then the event may or may not be on the log."""

    def __init__(self, desk: OrderDesk) -> None:
        self._desk = desk

    async def create(self, uid: str, attributes: Attributes, asker: Asker) -> Verdict[Workitem]:
        """Create a workitem (PS3.4 CC.2.5)."""
        return await self._desk.work(WorkitemCreated(*self._about(uid, asker), attributes=pack(attributes)))

    async def set(self, uid: str, attributes: Attributes, transaction: str, asker: Asker) -> Verdict[Workitem]:
        """Set attributes (PS3.4 CC.2.6). `transaction` is the Transaction UID of the request, "" for none."""
        event = WorkitemSet(*self._about(uid, asker), attributes=pack(attributes), lock=lock_of(transaction))
        return await self._desk.work(event)

    async def change_state(self, uid: str, state: str, transaction: str, asker: Asker) -> Verdict[Workitem]:
        """Claim, complete or cancel a workitem (PS3.4 CC.2.1)."""
        return await self._desk.work(WorkitemStateRequested(*self._about(uid, asker), state, lock_of(transaction)))

    async def request_cancel(self, uid: str, attributes: Attributes, asker: Asker) -> Verdict[Workitem]:
        """Request its cancellation (PS3.4 CC.2.2)."""
        return await self._desk.work(WorkitemCancelRequested(*self._about(uid, asker), attributes=pack(attributes)))

    async def erase(self, uid: str, reason: str, asker: Asker) -> None:
        """Erase a workitem: all its data is gone when this returns."""
        await self._desk.work(WorkitemErased(*self._about(uid, asker), reason))

    async def subscribe(
        self, target: str, subscriber: str, keys: Attributes, asker: Asker, *, lock: bool
    ) -> Verdict[WorkitemSubscription]:
        """Subscribe an AE title to a workitem, or to all (PS3.4 CC.2.3); `keys` is the filter."""
        about = self._about(target, asker)
        return await self._desk.subscribe(WorkitemSubscribed(*about, pack(keys), subscriber, lock))

    async def unsubscribe(self, target: str, subscriber: str, asker: Asker) -> Verdict[WorkitemSubscription]:
        """Unsubscribe it."""
        return await self._desk.subscribe(WorkitemUnsubscribed(*self._about(target, asker), subscriber))

    async def suspend(self, target: str, subscriber: str, asker: Asker) -> Verdict[WorkitemSubscription]:
        """Suspend its global subscription: it is not notified of future workitems."""
        return await self._desk.subscribe(WorkitemSubscriptionSuspended(*self._about(target, asker), subscriber))

    def _about(self, uid: str, asker: Asker) -> tuple[str, str, str, str, str, str, int]:
        """The fields that all events of workitems begin with."""
        change, at = self._desk.new_change(), self._desk.now_us()
        return DEFAULT_PARTITION, asker.trace, uid, change, asker.source, "", at
