"""Erasing orders: all patient data in them, and in the steps performed for them.

The order: `OrderErased` is on the log; every process that follows it drops the order, and removes the objects with its
data. After a crash, the next process that reads the log removes the remaining objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.errors import Conflicting, Held, NotFound
from gantry.common.events import OrderErased, ProcedureStepErased
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle import holders, holds_stand
from gantry.common.orders import FINAL, OrderErasure, PerformedStep, StepState, first, studies_of
from gantry.common.orders.model import Attributes
from gantry.common.ports.orders import OrderIndex
from gantry.common.runtime.protection import Protection
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.traces import new_trace
from gantry.services.orders.desk import OrderDesk

logger = get_logger("orders")


class OrderErasing:
    """Erases orders, for one process."""

    def __init__(self, desk: OrderDesk, orders: OrderIndex, protection: Protection, metrics: Metrics) -> None:
        self._desk = desk
        self._orders = orders
        self._protection = protection
        self._metrics = metrics

    async def erase(self, key: str, source: str, reason: str, trace: str = "", *, even_started: bool = False) -> None:
        """Erase all data of an order, and of the steps performed for it alone; done when this returns.

        Raises `NotFound` if there is no such order, `Conflicting` while a step is in progress (unless `even_started`)
        and if the order is changed meanwhile, `Held` under a hold on one of its studies or its patient, and
        `DependencyUnavailable`: then it may or may not be erased."""
        known = await self._orders.last_change(DEFAULT_PARTITION, key)
        history = await self._orders.history(DEFAULT_PARTITION, key)
        if all(isinstance(change.event, OrderErased) for change in history):
            raise NotFound("there is no such order")
        performed = await self._orders.performed_alone(DEFAULT_PARTITION, key)
        standing = await self._orders.order(DEFAULT_PARTITION, key)
        if standing is not None:
            order, states = standing
            if not even_started and _is_begun(states.values(), performed):
                raise Conflicting("a procedure step of the order is in progress")
            await self._require_no_hold(studies_of(order, performed), order.attributes)
        uids = tuple(sorted(step.uid for step in performed))
        verdict = await self._desk.erase(OrderErasure(key, source, known, uids, reason, trace=trace or new_trace()))
        if not verdict.accepted:
            raise Conflicting(verdict.reason)
        self._metrics.orders_erased.labels("order").inc()
        self._metrics.orders_erased.labels("procedure step").inc(len(uids))
        logger.info("order erased", order=key, by=source, performed=len(uids), reason=reason)

    async def erase_performed(self, uid: str, source: str, reason: str) -> None:
        """The same for a performed procedure step. Raises `NotFound` if there is no such step, `Conflicting` for one
        that performs a step of an order, `Held`, `DependencyUnavailable`."""
        performed = await self._orders.performed(DEFAULT_PARTITION, uid)
        if performed is None:
            raise NotFound("there is no such performed procedure step")
        if orders := await self._orders.orders_of(DEFAULT_PARTITION, uid):
            raise Conflicting(f"the step is performed for order {orders[0]}, and is erased with it")
        await self._require_no_hold(studies_of(None, [performed]), performed.attributes)
        event = ProcedureStepErased(
            partition=DEFAULT_PARTITION,
            trace=new_trace(),
            sop_instance_uid=uid,
            change=self._desk.new_change(),
            source=source,
            message="",
            at=self._desk.now_us(),
            reason=reason,
        )
        await self._desk.perform(event)
        self._metrics.orders_erased.labels("procedure step").inc()
        logger.info("procedure step erased", sop_instance=uid, by=source, reason=reason)

    async def _require_no_hold(self, studies: Iterable[str], attributes: Attributes) -> None:
        patients = holders(first(attributes, PATIENT_ID), first(attributes, ISSUER_OF_PATIENT_ID))
        if holds := await self._protection.holds_on(DEFAULT_PARTITION, studies, patients):
            raise Held(f"{holds_stand(holds)} on a study of this order or its patient; release first what holds it")


def _is_begun(states: Iterable[StepState], performed: Sequence[PerformedStep]) -> bool:
    return StepState.STARTED in states or any(step.state not in FINAL for step in performed)
