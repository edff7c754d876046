"""Automatic erasure of workitems that were completed or cancelled long ago (`orders.workitem_days`)."""

from __future__ import annotations

from gantry.common.clock import Clock
from gantry.common.errors import GantryError
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.orders import OrderIndex
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.orders.workitems.desk import Asker, WorkitemDesk

OF_AGE = "older than orders.workitem_days"
_DAY_US = 24 * 3600 * 1_000_000
_START_SECONDS = 30.0
_PAGE = 100
logger = get_logger("orders")


class EndedWorkitems:
    """Checks in every process; erasing twice has the effect of erasing once."""

    def __init__(
        self, desk: WorkitemDesk, orders: OrderIndex, clock: Clock, metrics: Metrics, days: int, rate: float
    ) -> None:
        """`rate` in workitems a second."""
        self._desk = desk
        self._orders = orders
        self._clock = clock
        self._metrics = metrics
        self._days = days
        self._pause = 1 / rate

    async def run(self, every: float) -> None:
        """Run for ever: a check each `every` seconds. If one fails because of a dependency, the next one does the
        work."""
        await self._clock.sleep(min(every, _START_SECONDS))
        while True:
            try:
                await self.erase()
            except GantryError as error:
                logger.warning("erasing workitems was interrupted", error=error)
            await self._clock.sleep(every)

    async def erase(self) -> int:
        """Erase workitems that ended too long ago. Returns how many there were. Raises `DependencyUnavailable`."""
        before = self._clock.now_us() - self._days * _DAY_US
        erased = 0
        while uids := await self._orders.ended_workitems(DEFAULT_PARTITION, before, _PAGE):
            for uid in uids:
                await self._desk.erase(uid, OF_AGE, Asker("archive"))
                self._metrics.orders_erased.labels("workitem").inc()
                erased += 1
                await self._clock.sleep(self._pause)
        return erased
