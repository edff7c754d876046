"""Workitems for the priors of orders, by the rules of the settings: another system fetches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.events import (
    Event,
    OrderCancelled,
    OrderChanged,
    OrderPlaced,
    WorkitemCancelRequested,
    WorkitemCreated,
)
from gantry.common.ids import Receipt
from gantry.common.orders import Order, StepState, ValuedEvent, first, items, pack
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.orders import OrderIndex
from gantry.common.runtime.order_values import write_values
from gantry.common.workitems.model import FINAL, PROGRESS, Workitem
from gantry.services.retrieve.routing.prior_work import (
    attributes_of,
    change_of,
    prior_workitem_uid,
    with_output,
)
from gantry.services.retrieve.routing.priors import FutureOrder, PriorRule
from gantry.services.retrieve.routing.work import Work

OrderEvent = OrderPlaced | OrderChanged | OrderCancelled
_MOST = 100
"""Most workitems of one order, which may be cancelled and placed again."""
_REASON, _WITHDRAWN = TAGS["ReasonForCancellation"], "the order is cancelled"


class PriorWorkRequests:
    """Which workitems an order gets, and which are no longer wanted. Existing ones are read from the projection, which
    must have followed the log."""

    def __init__(
        self,
        rules: Sequence[PriorRule],
        works: Mapping[str, Work],
        objects: BlobStore,
        orders: OrderIndex,
        ae_title: str,
        url: str,
    ) -> None:
        """`works` are those of rules, by their names. Unless a rule says otherwise, priors are sent to `ae_title`, and
        to `url` (of the archive, without a trailing slash; "" if unknown)."""
        works = {name: with_output(work, ae_title, url) for name, work in works.items()}
        self._rules = [(rule, works[rule.name]) for rule in rules if rule.name in works]
        self._objects = objects
        self._orders = orders

    async def of(
        self, event: OrderEvent, order: Order, states: Mapping[str, StepState], wanted: FutureOrder | None
    ) -> list[Event]:
        """The events to append for a change of an order; the values that they refer to are durable. `wanted` is None if
        no step is to come. Raises `DependencyUnavailable`."""
        if wanted is not None:
            matching = [(rule, work) for rule, work in self._rules if rule.applies(wanted)]
            made = [await self._created(event, order, states, wanted, rule, work) for rule, work in matching]
        elif order.cancelled or all(step.cancelled for step in order.steps.values()):
            made = [await self._cancelled(event, order, rule) for rule, _ in self._rules]
        else:
            made = []
        return [event for event in made if event is not None]

    async def _created(
        self,
        event: OrderEvent,
        order: Order,
        states: Mapping[str, StepState],
        wanted: FutureOrder,
        rule: PriorRule,
        work: Work,
    ) -> Event | None:
        number, last = await self._last(order, rule)
        # A workitem that a person has cancelled or erased is not created again, even if a scheduling system resends
        # everything.
        is_again = isinstance(event, OrderPlaced) and last is not None and _was_withdrawn(last)
        if number and not (is_again and number < _MOST):
            return None
        uid = prior_workitem_uid(order, rule.name, number)
        attributes = attributes_of(work, rule, order, states, wanted, event.at)
        change = change_of(order, rule.name, "created", event.at)
        about = order.partition, event.trace, uid, change, "archive", "", event.at
        return await self._written(WorkitemCreated(*about, pack(attributes)))

    async def _cancelled(self, event: OrderEvent, order: Order, rule: PriorRule) -> Event | None:
        """The performer is notified, and decides; a workitem that has not begun is cancelled (PS3.4 CC.2.2.3)."""
        _, last = await self._last(order, rule)
        if last is None or last.state in FINAL:
            return None
        change = change_of(order, rule.name, "cancelled", event.at)
        about = order.partition, event.trace, last.uid, change, "archive", "", event.at
        return await self._written(WorkitemCancelRequested(*about, pack({_REASON: [_WITHDRAWN]})))

    async def _last(self, order: Order, rule: PriorRule) -> tuple[int, Workitem | None]:
        """The number of the next workitem of an order, and its last workitem; None if it had none, or that is
        erased."""
        last: Workitem | None = None
        for number in range(_MOST):
            uid = prior_workitem_uid(order, rule.name, number)
            workitem = await self._orders.workitem(order.partition, uid)
            if workitem is None and not await self._orders.is_erased_workitem(order.partition, uid):
                return number, last
            last = workitem
        return _MOST, last

    async def _written(self, event: ValuedEvent) -> Event:
        return await write_values(self._objects, event, Receipt.at(event.at))


def _was_withdrawn(workitem: Workitem) -> bool:
    """Whether the workitem was cancelled because its order was."""
    return workitem.state in FINAL and any(
        first(item, _REASON) == _WITHDRAWN for item in items(workitem.attributes, PROGRESS)
    )
