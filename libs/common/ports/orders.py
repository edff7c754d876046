"""The port to the projection of the events of orders, performed steps and workitems; every process has its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gantry.common.orders import Order, OrderEvent, PerformedStep, StepEvent, StepState, Verdict
from gantry.common.orders.questions import ListedStep, StepQuery
from gantry.common.workitems import (
    SubscriptionEvent,
    Workitem,
    WorkitemEvent,
    WorkitemQuery,
    WorkitemRecipient,
    WorkitemSubscription,
)

FoldedEvent = OrderEvent | StepEvent | WorkitemEvent | SubscriptionEvent
AnyVerdict = Verdict[Order] | Verdict[PerformedStep] | Verdict[Workitem] | Verdict[WorkitemSubscription]


@dataclass(frozen=True, slots=True)
class FoldedChange:
    """An event of an order or a performed step, and the decision about it."""

    event: FoldedEvent
    accepted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Aged:
    """An order, by its key, or a performed step without an order, by its SOP Instance UID, that had no event for long;
    the other of the two is ""."""

    order: str = ""
    performed: str = ""


class OrderIndex(Protocol):
    """The current state of orders, performed procedure steps and workitems, as far as the log was read.

    - Events are applied in the order of the log; each is folded once, by its change id, however often it comes.
    - Applying events is all or nothing; every later call sees the events that were applied.
    - The state of a scheduled step is computed from all applied events, in whatever order the topics were read.
    - An erasure removes everything that was applied before to its order, performed step or workitem; for the latter
      two, also what comes later. The erasure of an order is refused if the order has changed since the erasure was
      decided.
    - An event whose values were removed (`gantry.common.orders.is_apart`) is refused, as after its erasure. Refused
      events of a performed step that does not exist are not retained: nobody sees them.
    - It is empty when it is opened, and ends with its process: only the log is durable.
    """

    async def apply(self, events: Sequence[FoldedEvent]) -> Mapping[str, AnyVerdict]:
        """Fold events in their order. Returns the verdict of each by its change id; for an event that was folded
        before, the earlier verdict, with the current state."""

    async def order(self, partition: str, key: str) -> tuple[Order, Mapping[str, StepState]] | None:
        """An order and the states of its steps by Scheduled Procedure Step ID; None if there is none."""

    async def performed(self, partition: str, uid: str) -> PerformedStep | None:
        """A performed procedure step; None if there is none."""

    async def performed_of(self, partition: str, key: str) -> Sequence[PerformedStep]:
        """The performed procedure steps that refer to steps of an order."""

    async def linked_to(self, partition: str, study: str) -> str:
        """The key of the order that a study is linked to; "" where there is none."""

    async def history(self, partition: str, key: str) -> Sequence[FoldedChange]:
        """The events of an order, the first one first, refused ones included; for an erased order, only its erasure."""

    async def last_change(self, partition: str, key: str) -> str:
        """The name of the last change that was requested of an order, erasures excepted; "" without one."""

    async def performed_in(self, partition: str, study: str) -> Sequence[PerformedStep]:
        """The performed procedure steps that name a study."""

    async def orders_of(self, partition: str, uid: str) -> Sequence[str]:
        """The keys of the orders with a step that a performed procedure step performs."""

    async def performed_alone(self, partition: str, key: str) -> Sequence[PerformedStep]:
        """The performed procedure steps that name an order, or one of its studies, and perform no step of another
        order; they are erased with it."""

    async def keys(self, partition: str, after: str, most: int) -> Sequence[str]:
        """The keys of orders behind the key `after`, in order, at most `most`."""

    def aged(self, partition: str, before_us: int, before_day: str) -> AsyncGenerator[list[Aged], None]:
        """Orders that were neither changed nor performed since a time, and whose steps were all scheduled before a day
        (YYYYMMDD); and performed steps without an order. Orders with nothing but refusals are included. In pages."""

    def unordered(self, partition: str) -> AsyncGenerator[list[PerformedStep], None]:
        """Performed procedure steps that perform no step of an order, in pages."""

    async def erased_objects(self, most: int) -> Sequence[str]:
        """Keys of objects with values of erased events, until `forget_objects` names them."""

    async def forget_objects(self, keys: Sequence[str]) -> None:
        """Record that these objects are removed."""

    async def named_objects(self, keys: Sequence[str]) -> set[str]:
        """Those of some keys of objects that events name."""

    def find(self, query: StepQuery) -> AsyncGenerator[list[ListedStep], None]:
        """Steps that match, in pages, ordered by their start, then by order and Scheduled Procedure Step ID. A step
        that changes meanwhile may appear as before or as after."""

    async def workitem(self, partition: str, uid: str) -> Workitem | None:
        """A workitem; None if there is none."""

    async def is_erased_workitem(self, partition: str, uid: str) -> bool:
        """Whether a workitem existed and was erased."""

    async def ended_workitems(self, partition: str, before_us: int, most: int) -> Sequence[str]:
        """The UIDs of workitems that were completed or cancelled before a time, those that ended first, at most `most`;
        none with a deletion lock."""

    async def recipients_of(self, workitem: Workitem) -> Sequence[WorkitemRecipient]:
        """The AE titles that get event reports of a workitem."""

    async def is_subscribed(self, partition: str, subscriber: str, target: str) -> bool:
        """Whether an AE title is subscribed to a workitem; with a well-known UID as `target`, to all present and future
        workitems."""

    def find_workitems(self, query: WorkitemQuery) -> AsyncGenerator[list[Workitem], None]:
        """Workitems that match, in pages, ordered by their start, then by their UID. A workitem that changes meanwhile
        may appear as before or as after."""

    async def close(self) -> None:
        """Release everything. May be called twice."""
