"""Finding the order of an arriving object among those that this process follows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from gantry.common.clock import Clock
from gantry.common.errors import GantryError
from gantry.common.lifecycle.coercing import SenderRules
from gantry.common.lifecycle.from_orders import (
    Answers,
    Attributes,
    OrderAnswer,
    OrderKey,
    OrderOutcome,
    OrderQuestion,
)
from gantry.common.orders import Order, StepState
from gantry.common.orders.linked_values import steps_of_object, study_values
from gantry.common.orders.questions import StepQuery
from gantry.common.ports.orders import OrderIndex

_LOOKUP_SECONDS = 5.0
_NOT_CANCELLED = frozenset(StepState) - {StepState.CANCELLED}
_WITHOUT_STEPS = (OrderKey.STUDY, OrderKey.ACCESSION)
"""The keys that also find an order without steps."""


class OrderFinder:
    """Never raises if an order cannot be looked up: no object is lost, or refused, because of its order."""

    def __init__(
        self, orders: OrderIndex, caught_up: Callable[[], Awaitable[None]], clock: Clock, within: float
    ) -> None:
        """`caught_up` returns when all orders that existed at the start have been read. Objects wait for that until
        `within` seconds from now, and not at all afterwards."""
        self._orders = orders
        self._caught_up = caught_up
        self._clock = clock
        self._until = clock.monotonic() + within
        self._ready = False

    async def find(self, partition: str, question: OrderQuestion) -> OrderAnswer:
        """The order found by the first key of the question that finds exactly one. Cancelled orders are ignored."""
        try:
            await self._wait()
            async with asyncio.timeout(_LOOKUP_SECONDS):
                return await self._find(partition, question)
        except (GantryError, TimeoutError):
            return OrderAnswer(OrderOutcome.AWAY)

    async def _wait(self) -> None:
        if not self._ready:
            async with asyncio.timeout(max(0.0, self._until - self._clock.monotonic())):
                await self._caught_up()
            self._ready = True

    async def _find(self, partition: str, question: OrderQuestion) -> OrderAnswer:
        several = False
        for key in question.by:
            keys = await self._keys(partition, question, key)
            if len(keys) == 1 and (order := await self._orders.order(partition, *keys)) is not None:
                return OrderAnswer(OrderOutcome.FOUND, _values(order[0], question))
            several = several or len(keys) > 1
        return OrderAnswer(OrderOutcome.SEVERAL if several else OrderOutcome.NONE)

    async def _keys(self, partition: str, question: OrderQuestion, key: OrderKey) -> set[str]:
        """The keys of the orders that one key finds; two stand for any larger number."""
        # The wrong worklist entry was chosen, and a person has corrected that (IHE PIR): this also applies to later
        # images of the study.
        if key is OrderKey.STUDY and question.study:
            linked = await self._orders.linked_to(partition, question.study)
            if linked:
                return {linked}
        conditions = question.conditions(key)
        if conditions is None:
            return set()
        keys: set[str] = set()
        query = StepQuery(partition, conditions, _NOT_CANCELLED, orders=key in _WITHOUT_STEPS)
        async with aclosing(self._orders.find(query)) as pages:
            async for page in pages:
                keys.update(step.order for step in page if key in _WITHOUT_STEPS or question.agrees(step.attributes))
                if len(keys) > 1:
                    break
        return keys


def _values(order: Order, question: OrderQuestion) -> Attributes:
    return study_values(order, steps_of_object(order, question.steps, question.modality))


async def answers_of(rules: SenderRules, attributes: Attributes, partition: str, finder: OrderFinder) -> Answers:
    """The values of orders that rules need for an object with these attributes."""
    answers: dict[OrderQuestion, OrderAnswer] = {}
    while (question := rules.changes(attributes, answers).unanswered) is not None:
        answers[question] = await finder.find(partition, question)
    return answers
