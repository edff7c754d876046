"""The projection of one process: one thread that folds and looks up."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from gantry.common.adapters.sqlite.database import T, Work, translating
from gantry.common.adapters.sqlite.orders.aged import aged_after, performed_alone, unordered_after
from gantry.common.adapters.sqlite.orders.erasing import erased_objects, forget_objects, last_change, named_objects
from gantry.common.adapters.sqlite.orders.finding import START, Place, steps_after
from gantry.common.adapters.sqlite.orders.folding import fold_event
from gantry.common.adapters.sqlite.orders.rows import (
    linked_to,
    links_of,
    order_at,
    performed_at,
    performed_for,
    performed_in,
    states_at,
)
from gantry.common.adapters.sqlite.orders.schema import nameless_database
from gantry.common.adapters.sqlite.orders.states import orders_of
from gantry.common.adapters.sqlite.orders.subscriptions import read_recipients
from gantry.common.adapters.sqlite.orders.workitems import (
    FIRST,
    WorkitemPlace,
    ended_workitems,
    is_erased_workitem,
    is_subscribed,
    workitem_at,
    workitems_after,
)
from gantry.common.errors import UndecodableEvent
from gantry.common.events import decode
from gantry.common.orders import Order, OrderEvent, PerformedStep, StepEvent, StepState, refers_to
from gantry.common.orders.questions import ListedStep, StepQuery, narrowing_of
from gantry.common.ports.orders import Aged, AnyVerdict, FoldedChange, FoldedEvent
from gantry.common.workitems import SubscriptionEvent, Workitem, WorkitemEvent, WorkitemQuery, WorkitemRecipient

DEPENDENCY = "orders"
_LOOKED_AT = 200
"""Keys that are examined in one turn of the database's thread."""


class SqliteOrders:
    """`gantry.common.ports.orders.OrderIndex`."""

    def __init__(self) -> None:
        with translating(DEPENDENCY):
            self._connection = nameless_database()
        self._thread = ThreadPoolExecutor(1, "gantry-orders")
        self._closed = False

    async def apply(self, events: Sequence[FoldedEvent]) -> Mapping[str, AnyVerdict]:
        def fold_all(connection: sqlite3.Connection) -> dict[str, AnyVerdict]:
            connection.execute("BEGIN")
            try:
                verdicts = {event.change: fold_event(connection, event) for event in events}
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return verdicts

        return await self._run(fold_all)

    async def order(self, partition: str, key: str) -> tuple[Order, Mapping[str, StepState]] | None:
        def read(connection: sqlite3.Connection) -> tuple[Order, Mapping[str, StepState]] | None:
            order = order_at(connection, partition, key)
            return None if order is None else (order, states_at(connection, partition, key))

        return await self._run(read)

    async def performed(self, partition: str, uid: str) -> PerformedStep | None:
        return await self._run(lambda connection: performed_at(connection, partition, uid))

    async def performed_of(self, partition: str, key: str) -> Sequence[PerformedStep]:
        def read(connection: sqlite3.Connection) -> list[PerformedStep]:
            order = order_at(connection, partition, key)
            performed_steps = [] if order is None else performed_for(connection, order)
            links = links_of(connection, partition, performed_steps)
            steps = order.steps.values() if order is not None else ()
            return [
                performed_step
                for performed_step in performed_steps
                if order and any(refers_to(performed_step, order, step, links) for step in steps)
            ]

        return await self._run(read)

    async def linked_to(self, partition: str, study: str) -> str:
        return await self._run(lambda connection: linked_to(connection, partition, study))

    async def history(self, partition: str, key: str) -> Sequence[FoldedChange]:
        def read(connection: sqlite3.Connection) -> list[FoldedChange]:
            rows = connection.execute(
                "SELECT payload, accepted, reason FROM changes "
                "WHERE partition = ? AND key = ? AND payload IS NOT NULL ORDER BY number",
                (partition, key),
            )
            return [FoldedChange(_decoded(payload), bool(accepted), reason) for payload, accepted, reason in rows]

        return await self._run(read)

    async def last_change(self, partition: str, key: str) -> str:
        return await self._run(lambda connection: last_change(connection, partition, key))

    async def orders_of(self, partition: str, uid: str) -> Sequence[str]:
        def read(connection: sqlite3.Connection) -> list[str]:
            performed = performed_at(connection, partition, uid)
            return [] if performed is None else sorted(orders_of(connection, performed))

        return await self._run(read)

    async def performed_in(self, partition: str, study: str) -> Sequence[PerformedStep]:
        return await self._run(lambda connection: performed_in(connection, partition, study))

    async def performed_alone(self, partition: str, key: str) -> Sequence[PerformedStep]:
        return await self._run(lambda connection: performed_alone(connection, partition, key))

    async def keys(self, partition: str, after: str, most: int) -> Sequence[str]:
        query = "SELECT key FROM orders WHERE partition = ? AND key > ? ORDER BY key LIMIT ?"
        values = partition, after, most
        return await self._run(lambda connection: [key for (key,) in connection.execute(query, values)])

    async def aged(self, partition: str, before_us: int, before_day: str) -> AsyncGenerator[list[Aged], None]:
        after, begun = "", False
        while after or not begun:
            read = partial(
                aged_after,
                partition=partition,
                before_us=before_us,
                before_day=before_day,
                after=after,
                most=_LOOKED_AT,
            )
            page, after = await self._run(read)
            begun = True
            if page:
                yield page

    async def unordered(self, partition: str) -> AsyncGenerator[list[PerformedStep], None]:
        after, begun = "", False
        while after or not begun:
            read = partial(unordered_after, partition=partition, after=after, most=_LOOKED_AT)
            page, after = await self._run(read)
            begun = True
            if page:
                yield page

    async def erased_objects(self, most: int) -> Sequence[str]:
        return await self._run(lambda connection: erased_objects(connection, most))

    async def forget_objects(self, keys: Sequence[str]) -> None:
        await self._run(lambda connection: forget_objects(connection, keys))

    async def named_objects(self, keys: Sequence[str]) -> set[str]:
        return await self._run(lambda connection: named_objects(connection, keys))

    async def find(self, query: StepQuery) -> AsyncGenerator[list[ListedStep], None]:
        narrowing, matches = narrowing_of(query), query.predicate()
        place: Place | None = START

        def read(connection: sqlite3.Connection) -> tuple[list[ListedStep], Place | None]:
            assert place is not None
            listed, behind = steps_after(connection, query, narrowing, place)
            return [step for step in listed if matches(step.document)], behind

        while place is not None:
            page, place = await self._run(read)
            if page:
                yield page

    async def workitem(self, partition: str, uid: str) -> Workitem | None:
        return await self._run(lambda connection: workitem_at(connection, partition, uid))

    async def ended_workitems(self, partition: str, before_us: int, most: int) -> Sequence[str]:
        return await self._run(lambda connection: ended_workitems(connection, partition, before_us, most))

    async def is_erased_workitem(self, partition: str, uid: str) -> bool:
        return await self._run(lambda connection: is_erased_workitem(connection, partition, uid))

    async def recipients_of(self, workitem: Workitem) -> Sequence[WorkitemRecipient]:
        return await self._run(lambda connection: read_recipients(connection, workitem))

    async def is_subscribed(self, partition: str, subscriber: str, target: str) -> bool:
        return await self._run(lambda connection: is_subscribed(connection, partition, subscriber, target))

    async def find_workitems(self, query: WorkitemQuery) -> AsyncGenerator[list[Workitem], None]:
        matches = query.predicate()
        place: WorkitemPlace | None = FIRST

        def read(connection: sqlite3.Connection) -> tuple[list[Workitem], WorkitemPlace | None]:
            assert place is not None
            workitems, behind = workitems_after(connection, query, place)
            return [workitem for workitem in workitems if matches(workitem.document)], behind

        while place is not None:
            page, place = await self._run(read)
            if page:
                yield page

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._thread.shutdown)
            self._connection.close()

    async def _run(self, work: Work[T]) -> T:
        def translated() -> T:
            with translating(DEPENDENCY):
                return work(self._connection)

        return await asyncio.get_running_loop().run_in_executor(self._thread, translated)


def _decoded(payload: bytes) -> FoldedEvent:
    event = decode(payload)
    if not isinstance(event, OrderEvent | StepEvent | WorkitemEvent | SubscriptionEvent):
        raise UndecodableEvent("not an event of an order")
    return event
