"""Changes orders, performed steps and workitems: append, follow, answer with the decision of the fold."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import (
    OrderCancelled,
    OrderChanged,
    OrderErased,
    OrderPlaced,
    OrderReported,
    StudyLinked,
    StudyUnlinked,
)
from gantry.common.ids import Receipt
from gantry.common.orders import (
    Order,
    OrderCancellation,
    OrderChange,
    OrderErasure,
    OrderEvent,
    OrderReport,
    PerformedStep,
    PlacedOrder,
    StepEvent,
    StudyLink,
    StudyUnlink,
    ValuedEvent,
    Verdict,
    pack,
    values_in,
    with_values,
)
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.ports.orders import AnyVerdict, FoldedEvent
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.order_follower import Follower
from gantry.common.runtime.order_values import write_values
from gantry.common.workitems import SubscriptionEvent, Workitem, WorkitemEvent, WorkitemSubscription

C = TypeVar("C", PlacedOrder, OrderChange, OrderCancellation, OrderReport, OrderErasure, StudyLink, StudyUnlink)


class OrderDesk:
    """One event for each call, durable before the call returns; its patient data is durable before the event, in an
    object of its own. All calls raise `DependencyUnavailable` if a store is unavailable, or the log is not followed
    within the deadline: then the event may or may not be on the log, and calling again with the same `change` ensures
    that it is."""

    def __init__(self, objects: BlobStore, log: EventLog, follower: Follower, clock: Clock, deadline: float) -> None:
        """`deadline`: how long a verdict may take, in seconds."""
        self._objects = objects
        self._log = log
        self._follower = follower
        self._clock = clock
        self._deadline = deadline

    async def place(self, order: PlacedOrder) -> Verdict[Order]:
        """Place an order; it replaces any earlier one with its key."""
        packed = pack(order.attributes)
        return await self._of_order(OrderPlaced(*self._about(order), attributes=packed))

    async def change(self, change: OrderChange) -> Verdict[Order]:
        """Set attributes of an order and of its steps. Refused if the order does not exist or is cancelled."""
        steps = {step: None if attributes is None else dict(attributes) for step, attributes in change.steps.items()}
        event = OrderChanged(*self._about(change), attributes=pack(change.attributes), step_attributes=pack(steps))
        return await self._of_order(event)

    async def cancel(self, cancellation: OrderCancellation) -> Verdict[Order]:
        """Cancel steps, or the whole order. Refused if the order does not exist or is cancelled already."""
        steps, reason = tuple(cancellation.steps), cancellation.reason
        return await self._of_order(OrderCancelled(*self._about(cancellation), steps=steps, reason=reason))

    async def report(self, report: OrderReport) -> Verdict[Order]:
        """Add a report on an order. Refused if the order does not exist, and for a draft if the report is final
        already."""
        packed, studies = pack(report.attributes), tuple(report.studies)
        event = OrderReported(*self._about(report), attributes=packed, status=report.status.value, studies=studies)
        return await self._of_order(event)

    async def erase(self, erasure: OrderErasure) -> Verdict[Order]:
        """Erase an order: all its data, and that of these performed steps, is gone when this returns. Refused if the
        order was changed after the known state."""
        event = OrderErased(*self._about(erasure), erasure.known, tuple(erasure.performed), erasure.reason)
        return await self._of_order(event)

    async def link(self, link: StudyLink) -> Verdict[Order]:
        """Link a study to an order. Refused if the order does not exist or is cancelled, and for a study that is linked
        to it already."""
        event = StudyLinked(*self._about(link), link.study, link.correction, link.reason)
        return await self._of_order(event)

    async def unlink(self, unlink: StudyUnlink) -> Verdict[Order]:
        """Undo a link. Refused for a study that is not linked to the order."""
        return await self._of_order(StudyUnlinked(*self._about(unlink), unlink.study, unlink.reason))

    async def perform(self, event: StepEvent) -> Verdict[PerformedStep]:
        """Create a performed procedure step, or set its attributes."""
        verdict = await self._decided(event)
        if isinstance(verdict.state, Order | Workitem | WorkitemSubscription):
            raise TypeError("an event of a step has the verdict of an order")
        return verdict  # type: ignore[return-value]  # told apart by its event

    async def work(self, event: WorkitemEvent) -> Verdict[Workitem]:
        """Create a workitem, set its attributes, change its state, or ask that it be cancelled."""
        verdict = await self._decided(event)
        if isinstance(verdict.state, Order | PerformedStep | WorkitemSubscription):
            raise TypeError("an event of a workitem has another verdict")
        return verdict  # type: ignore[return-value]  # told apart by its event

    async def subscribe(self, event: SubscriptionEvent) -> Verdict[WorkitemSubscription]:
        """Subscribe to workitems, unsubscribe, or suspend a subscription."""
        verdict = await self._decided(event)
        if isinstance(verdict.state, Order | PerformedStep | Workitem):
            raise TypeError("an event of a subscription has another verdict")
        return verdict  # type: ignore[return-value]  # told apart by its event

    def new_change(self) -> str:
        """A name for an event; names sort by time."""
        return Receipt.at(self._clock.now_us()).id

    def now_us(self) -> int:
        """The time of events that are made now."""
        return self._clock.now_us()

    def _about(self, command: C) -> tuple[str, str, str, str, str, str, int]:
        """The fields that all events of orders begin with."""
        change = command.change or self.new_change()
        at = self._clock.now_us()
        return command.partition, command.trace, command.order, change, command.source, command.message, at

    async def _of_order(self, event: OrderEvent) -> Verdict[Order]:
        verdict = await self._decided(event)
        if isinstance(verdict.state, PerformedStep | Workitem | WorkitemSubscription):
            raise TypeError("an event of an order has the verdict of a step")
        return verdict  # type: ignore[return-value]  # told apart by its event

    async def _decided(self, event: FoldedEvent) -> AnyVerdict:
        if isinstance(event, ValuedEvent):
            appended = await write_values(self._objects, event, Receipt.at(self._clock.now_us()))
            self._follower.remember(with_values(appended, values_in(event)))
            event = appended
        future = self._follower.expect(event)
        try:
            await reach(FailPoint.BEFORE_PUBLISH)
            await self._log.append(event)
            async with asyncio.timeout(self._deadline):
                verdict = await future
        except TimeoutError:
            raise DependencyUnavailable("orders", f"not followed within {self._deadline:g} s") from None
        finally:
            self._follower.forget(event, future)
        await reach(FailPoint.BEFORE_ANSWER)
        return verdict
