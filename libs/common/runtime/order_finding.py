"""Looking for the order of an object that arrives, among those that this process follows."""

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
from gantry.common.orders.linked_values import steps_meant, study_values
from gantry.common.orders.questions import StepQuery
from gantry.common.ports.orders import OrderIndex

_LOOKUP_SECONDS = 5.0
_NOT_CANCELLED = frozenset(StepState) - {StepState.CANCELLED}
_WITHOUT_STEPS = (OrderKey.STUDY, OrderKey.ACCESSION)
"""What finds an order that has no steps, too."""


class OrderFinder:
    """Never raises for an order that cannot be looked for: no object is lost, or refused, because of its order."""

    def __init__(
        self, orders: OrderIndex, caught_up: Callable[[], Awaitable[None]], clock: Clock, within: float
    ) -> None:
        """`caught_up` returns when all orders were read that there were at the start. Objects wait for that until
        `within` seconds from now, and not at all afterwards."""
        self._orders = orders
        self._caught_up = caught_up
        self._clock = clock
        self._until = clock.monotonic() + within
        self._ready = False

    async def find(self, partition: str, question: OrderQuestion) -> OrderAnswer:
        """The one order that the first of the question's keys finds that finds a single one. Cancelled ones are not
        among them."""
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
            if len(keys) == 1 and (found := await self._orders.order(partition, *keys)) is not None:
                return OrderAnswer(OrderOutcome.FOUND, _values(found[0], question))
            several = several or len(keys) > 1
        return OrderAnswer(OrderOutcome.SEVERAL if several else OrderOutcome.NONE)

    async def _keys(self, partition: str, question: OrderQuestion, key: OrderKey) -> set[str]:
        """Of the orders that one key finds; two stand for more."""
        # The wrong entry of the worklist was chosen, and somebody has said so (IHE PIR): that counts for what still
        # comes of the study.
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
    return study_values(order, steps_meant(order, question.steps, question.modality))


async def answers_of(rules: SenderRules, attributes: Attributes, partition: str, finder: OrderFinder) -> Answers:
    """What rules have to know of orders about an object with these attributes."""
    answers: dict[OrderQuestion, OrderAnswer] = {}
    while (question := rules.changes(attributes, answers).unanswered) is not None:
        answers[question] = await finder.find(partition, question)
    return answers
