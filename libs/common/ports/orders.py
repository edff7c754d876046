"""The port to what the events of orders, performed steps and workitems come to: a projection that every process has
for itself."""

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
    """An event of an order or a performed step, and what was decided on it."""

    event: FoldedEvent
    accepted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Aged:
    """An order, by its key, or a performed step that performs no step of an order, by its SOP Instance UID, of which
    nothing was heard for long; the other is ""."""

    order: str = ""
    performed: str = ""


class OrderIndex(Protocol):
    """What stands of orders and performed procedure steps, as far as the log was read.

    - Events are applied in the order of the log; each is folded once, by its change id, however often it comes.
    - Applying events is all or nothing; what was applied is seen by every later call.
    - The state of a scheduled step is computed from all that was applied, whatever order the topics were read in.
    - An erasure takes away all that was applied of its order, performed step or workitem before; of the latter two,
      also what comes later. That of an order is refused where the last change of it is another one than was known.
    - An event whose values are gone (`gantry.common.orders.is_apart`) is refused, as it is after its erasure. What was
      refused of a performed step that there is not is not kept either: nobody is shown it.
    - It is empty when it is opened, and gone when its process ends: the log is what is kept.
    """

    async def apply(self, events: Sequence[FoldedEvent]) -> Mapping[str, AnyVerdict]:
        """Fold events in their order. Returns the verdict of each by its change id; of one that was folded before, the
        verdict of then, with the state of now."""

    async def order(self, partition: str, key: str) -> tuple[Order, Mapping[str, StepState]] | None:
        """An order and the states of its steps by Scheduled Procedure Step ID; None if there is none."""

    async def performed(self, partition: str, uid: str) -> PerformedStep | None:
        """A performed procedure step; None if there is none."""

    async def performed_of(self, partition: str, key: str) -> Sequence[PerformedStep]:
        """The performed procedure steps that refer to steps of an order."""

    async def linked_to(self, partition: str, study: str) -> str:
        """The key of the order that a study is linked to; "" where there is none."""

    async def history(self, partition: str, key: str) -> Sequence[FoldedChange]:
        """What happened to an order, the first event first, with what was refused; of what was erased, that it was."""

    async def last_change(self, partition: str, key: str) -> str:
        """The name of what was asked last of an order, but for erasures; "" where nothing was."""

    async def performed_in(self, partition: str, study: str) -> Sequence[PerformedStep]:
        """The performed procedure steps that name a study."""

    async def orders_of(self, partition: str, uid: str) -> Sequence[str]:
        """The keys of the orders with a step that a performed procedure step performs."""

    async def performed_alone(self, partition: str, key: str) -> Sequence[PerformedStep]:
        """The performed procedure steps that name an order, or one of its studies, and perform no step of another
        order: what is erased with it."""

    async def keys(self, partition: str, after: str, most: int) -> Sequence[str]:
        """The keys of orders behind a key, in order, at most so many."""

    def aged(self, partition: str, before_us: int, before_day: str) -> AsyncGenerator[list[Aged], None]:
        """Orders that nothing was asked of, nor anything performed for, since a time, and whose steps were all to begin
        before a day (YYYYMMDD); and performed steps without an order. Orders of which nothing but refusals is left are
        among them. In pages."""

    def unordered(self, partition: str) -> AsyncGenerator[list[PerformedStep], None]:
        """Performed procedure steps that perform no step of an order, in pages."""

    async def erased_objects(self, most: int) -> Sequence[str]:
        """Keys of objects with values of events that are erased, as long as `forget_objects` does not name them."""

    async def forget_objects(self, keys: Sequence[str]) -> None:
        """These objects are removed."""

    async def named_objects(self, keys: Sequence[str]) -> set[str]:
        """Of some keys of objects those that events name."""

    def find(self, query: StepQuery) -> AsyncGenerator[list[ListedStep], None]:
        """Steps that match, in pages, ordered by their start, then by order and Scheduled Procedure Step ID. Steps that
        change meanwhile may be there as before or as after."""

    async def workitem(self, partition: str, uid: str) -> Workitem | None:
        """A workitem; None if there is none."""

    async def is_erased_workitem(self, partition: str, uid: str) -> bool:
        """Whether there was a workitem that is erased."""

    async def ended_workitems(self, partition: str, before_us: int, most: int) -> Sequence[str]:
        """The UIDs of workitems that were completed or cancelled before a time, those that ended first, at most so
        many; none with a deletion lock."""

    async def recipients_of(self, workitem: Workitem) -> Sequence[WorkitemRecipient]:
        """Who is told what happens to a workitem, by AE title."""

    async def is_subscribed(self, partition: str, subscriber: str, target: str) -> bool:
        """Whether an AE title is told of a workitem; with a well-known UID for `target`, of any that there are or will
        be."""

    def find_workitems(self, query: WorkitemQuery) -> AsyncGenerator[list[Workitem], None]:
        """Workitems that match, in pages, ordered by their start, then by their UID. Workitems that change meanwhile
        may be there as before or as after."""

    async def close(self) -> None:
        """Release everything. May be called twice."""
