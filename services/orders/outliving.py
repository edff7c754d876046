"""Orders that go by themselves: by their age (`orders.keep_days`), and after their studies, which are deleted for good.

What became of a study is asked of the index, which knows it for ever: no event can be missed, whatever was away. A
restored index may hear of a receipt later than of the collection of another one, so a study must be gone twice, with
`lifecycle.erase_after` in between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from gantry.common.clock import Clock
from gantry.common.errors import Conflicting, DependencyUnavailable, GantryError, Held, NotFound
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.orders import Order, studies_of
from gantry.common.orders.endings import day_before, is_over
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.ports.orders import Aged, OrderIndex
from gantry.common.runtime.following import has_followed
from gantry.common.runtime.study_facts import known_study
from gantry.common.telemetry.logs import get_logger
from gantry.services.orders.erasing import OrderErasing

SOURCE = "archive"
OF_AGE = "older than orders.keep_days"
OF_STUDIES = "its studies are deleted for good"
_START_SECONDS = 30.0
_PAGE = 200
_PATIENCE = 120.0
logger = get_logger("orders")


class Outliving:
    """Looks in one process; of several each does, and what one erased the others do not find."""

    def __init__(
        self,
        erasing: OrderErasing,
        orders: OrderIndex,
        index: ReadIndex,
        log: EventLog,
        clock: Clock,
        *,
        keep_days: int,
        rate: float,
        erase_after: float,
    ) -> None:
        """`rate` in orders a second, `erase_after` in seconds."""
        self._erasing = erasing
        self._orders = orders
        self._index = index
        self._log = log
        self._clock = clock
        self._keep_days = keep_days
        self._pause = 1 / rate
        self._erase_after = erase_after

    async def run(self, every: float) -> None:
        """For ever, a look each `every` seconds. One that meets a dependency away is left to the next one."""
        await self._clock.sleep(min(every, _START_SECONDS))
        while True:
            try:
                erased = await self.look()
                if erased:
                    logger.info("orders erased by themselves", orders=erased)
            except GantryError as error:
                logger.warning("erasing orders broken off", error=error)
            await self._clock.sleep(every)

    async def look(self) -> int:
        """Erase what is due now; how many orders and performed steps that were. Raises `DependencyUnavailable`."""
        erased = await self._by_age() if self._keep_days else 0
        forsaken = [key async for key in self._forsaken(await self._keys())]
        if forsaken:
            await self._clock.sleep(self._erase_after)
            async for key in self._forsaken(forsaken):
                erased += await self._erase(Aged(order=key), OF_STUDIES)
        return erased

    async def _by_age(self) -> int:
        before_us, day = day_before(self._clock.now_us(), self._keep_days)
        due = [one async for page in self._orders.aged(DEFAULT_PARTITION, before_us, day) for one in page]
        erased = 0
        for one in due:
            erased += await self._erase(one, OF_AGE)
        return erased

    async def _erase(self, one: Aged, reason: str) -> bool:
        await self._clock.sleep(self._pause)
        try:
            if one.order:
                await self._erasing.erase(one.order, SOURCE, reason, even_started=reason == OF_AGE)
            else:
                await self._erasing.erase_performed(one.performed, SOURCE, reason)
        except (Held, Conflicting, NotFound):
            return False  # it stays as long as the hold stands; or another process was here before
        return True

    async def _keys(self) -> list[str]:
        keys: list[str] = []
        while page := await self._orders.keys(DEFAULT_PARTITION, keys[-1] if keys else "", _PAGE):
            keys += page
        return keys

    async def _forsaken(self, keys: Iterable[str]) -> AsyncIterator[str]:
        """Of some orders those that are over, and of whose studies one is gone and none is there."""
        if not await has_followed(self._log, self._clock, _PATIENCE):
            raise DependencyUnavailable("index", "the indexers are behind")
        _, today = day_before(self._clock.now_us(), 0)
        for key in keys:
            standing = await self._orders.order(DEFAULT_PARTITION, key)
            if standing is None or not is_over(*standing, today):
                continue
            await self._clock.sleep(self._pause)
            if await self._is_forsaken(standing[0]):
                yield key

    async def _is_forsaken(self, order: Order) -> bool:
        performed = await self._orders.performed_alone(DEFAULT_PARTITION, order.key)
        gone = False
        for study in studies_of(order, performed):
            if await known_study(self._index, DEFAULT_PARTITION, study, deleted=True) is not None:
                return False
            collected = [
                receipt.fate.collected async for page in self._index.fated(DEFAULT_PARTITION, study) for receipt in page
            ]
            if not all(collected):
                return False
            gone = gone or bool(collected)
        return gone
