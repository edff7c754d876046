"""The content of messages about a study: what is or was here of it, and the order that it was made for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gantry.common.access import EVERYTHING, restricted
from gantry.common.clock import Clock
from gantry.common.dicom.standard.tags import ACCESSION_NUMBER, ISSUER_OF_PATIENT_ID, PATIENT_ID, STUDY_INSTANCE_UID
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import RouteRequested
from gantry.common.hl7.results import ImagingResult, Standing
from gantry.common.lifecycle.from_orders import OrderKey, OrderOutcome, OrderQuestion
from gantry.common.lifecycle.routes import AVAILABILITY, CHANGE
from gantry.common.orders import first
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.orders import OrderIndex
from gantry.common.runtime.order_finding import OrderFinder
from gantry.common.runtime.study_facts import known_study

_READ = 30.0
"""Seconds allowed for reading the orders that existed at the start."""
_BY = OrderKey.STUDY, OrderKey.ACCESSION


class ImagingResults:
    """Asks the index and the orders."""

    def __init__(
        self, index: ReadIndex, orders: OrderIndex, caught_up: Callable[[], Awaitable[None]], clock: Clock
    ) -> None:
        """`caught_up` returns when all orders that existed at the start have been read."""
        self._index = index
        self._caught_up = caught_up
        self._orders = OrderFinder(orders, caught_up, clock, _READ)

    async def result_of(self, route: RouteRequested) -> ImagingResult | None:
        """The content for a route now; None if nothing is known of the study any more or, unless instances were
        removed, nothing of it is here. Raises `DependencyUnavailable`."""
        uid = route.study_instance_uid
        with restricted(EVERYTHING):
            study = await known_study(self._index, route.partition, uid)
        if study is None:
            return None
        # Without a document in the index nothing of it is here: only hidden objects describe it.
        is_here = not study.beside
        if not is_here and route.kind != CHANGE:
            return None
        standing = Standing.GONE if not is_here else Standing.HERE if route.kind == AVAILABILITY else Standing.CHANGED
        attributes = {**await self._order_of(route, study.attributes), **_known_values(study.attributes)}
        return ImagingResult(uid, attributes, standing, route.route, route.at)

    async def _order_of(self, route: RouteRequested, study: Mapping[int, Any]) -> Mapping[int, Any]:
        """The values of the one order that a study was made for; none if there is none, or it is for another patient:
        several issuers may assign the same accession number."""
        await self._caught_up()
        question = OrderQuestion(_BY, route.study_instance_uid, first(study, ACCESSION_NUMBER))
        answer = await self._orders.find(route.partition, question)
        if answer.outcome is OrderOutcome.AWAY:
            raise DependencyUnavailable("orders", "they cannot be asked just now")
        values = {tag: [*texts] for tag, texts in answer.values.items()}
        pairs = [(first(values, tag), first(study, tag)) for tag in (PATIENT_ID, ISSUER_OF_PATIENT_ID)]
        agrees = all(not of_order or not of_study or of_order == of_study for of_order, of_study in pairs)
        return values if agrees else {}


def _known_values(attributes: Mapping[int, Any]) -> dict[int, Any]:
    """The values of a study; those that it lacks, from its order."""
    return {tag: values for tag, values in attributes.items() if values and tag != STUDY_INSTANCE_UID}
