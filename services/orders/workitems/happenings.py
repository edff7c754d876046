"""Accepted events of workitems, for their subscribers: events of the log with the decisions on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, UndecodableEvent
from gantry.common.events import TOPICS, Event, WorkitemCreated, WorkitemSubscribed, decode
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.orders import is_apart
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import Record
from gantry.common.ports.orders import OrderIndex
from gantry.common.runtime.order_follower import Follower
from gantry.common.runtime.order_values import by_size, read_values
from gantry.common.statuses import SUCCESS, WORKITEM_CREATED_WITH_MODIFICATIONS
from gantry.common.workitems import Workitem, WorkitemEvent, WorkitemRecipient
from gantry.common.workitems.reports import WorkitemReport, reports_of
from gantry.common.workitems.subscriptions import GLOBAL

TOPIC = TOPICS[WorkitemCreated].name
_PATIENCE, _LOOK_AGAIN = 30.0, 0.02
_DONE = frozenset((SUCCESS, WORKITEM_CREATED_WITH_MODIFICATIONS))
"""With any other status the wanted state was there before, and nothing happened."""


@dataclass(frozen=True, slots=True)
class Happening:
    """An accepted event, its reports, and their receivers."""

    event: WorkitemEvent | WorkitemSubscribed
    workitem: Workitem
    reports: Sequence[WorkitemReport]
    told: Sequence[WorkitemRecipient]


class Happenings:
    """Reads the projection of this process, which must have followed the log that far."""

    def __init__(self, objects: BlobStore, orders: OrderIndex, follower: Follower, clock: Clock) -> None:
        self._objects = objects
        self._orders = orders
        self._follower = follower
        self._clock = clock

    async def of(self, events: Sequence[Event], ends: Mapping[int, int]) -> AsyncIterator[Happening]:
        """The effects of some events of the topic, which lie before `ends`. Erased workitems are not reported any more.
        Raises `DependencyUnavailable`."""
        wanted = [event for event in events if isinstance(event, WorkitemEvent | WorkitemSubscribed)]
        if not wanted:
            return
        await self._followed(ends)
        for run in by_size(wanted):
            read = await read_values(self._objects, run)
            verdicts = await self._orders.apply(read)
            for event in read:
                verdict = verdicts[event.change]
                if not verdict.accepted or verdict.status not in _DONE or is_apart(event):
                    continue
                workitem = await self._orders.workitem(DEFAULT_PARTITION, event.sop_instance_uid)
                if workitem is not None:
                    recipients = await self._recipients(event, workitem)
                    if recipients:
                        yield Happening(event, workitem, reports_of(event, workitem), recipients)

    async def is_subscribed(self, subscriber: str, target: str) -> bool:
        """Whether an AE title is subscribed to a workitem, or to any, as far as this process knows."""
        return await self._orders.is_subscribed(DEFAULT_PARTITION, subscriber, target)

    async def _recipients(
        self, event: WorkitemEvent | WorkitemSubscribed, workitem: Workitem
    ) -> list[WorkitemRecipient]:
        """Subscribers do not get events from before their subscription; the initial state of a workitem goes only to
        the new subscriber."""
        recipients = [
            recipient for recipient in await self._orders.recipients_of(workitem) if recipient.since <= event.at
        ]
        if isinstance(event, WorkitemSubscribed):
            return [
                recipient
                for recipient in recipients
                if recipient.subscriber == event.subscriber and event.sop_instance_uid not in GLOBAL
            ]
        return recipients

    async def _followed(self, ends: Mapping[int, int]) -> None:
        until = self._clock.monotonic() + _PATIENCE
        while not self._follower.has_read({TOPIC: ends}):
            if self._clock.monotonic() >= until:
                raise DependencyUnavailable("orders", "workitems have not been followed yet")
            await self._clock.sleep(_LOOK_AGAIN)


def events_in(records: Sequence[Record]) -> list[Event]:
    """The events of some records, without those of a newer release."""
    events: list[Event] = []
    for record in records:
        try:
            events.append(decode(record.payload))
        except UndecodableEvent:
            continue
    return events
