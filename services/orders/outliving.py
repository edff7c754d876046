"""Automatic erasure of orders: by their age (`orders.keep_days`), and after their studies were deleted for good.

The state of a study is read from the index, which retains it for ever: no event can be missed, whatever was
unavailable. A restored index may learn of a receipt later than of the collection of another one, so a study must be
found gone twice, `lifecycle.erase_after` apart.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence

from gantry.common.clock import Clock
from gantry.common.errors import Conflicting, DependencyUnavailable, GantryError, Held, NotFound
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.orders import FINAL, studies_of
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
    """Checks in every process; orders that one has erased the others do not find."""

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
        """Run for ever: a check each `every` seconds. If one fails because of a dependency, the next one does the
        work."""
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
        """Erase what is due now. Returns how many orders and performed steps that were. Raises
        `DependencyUnavailable`."""
        erased = await self._by_age() if self._keep_days else 0
        orphaned = [record async for record in self._orphaned(self._all())]
        if orphaned:
            await self._clock.sleep(self._erase_after)
            async for record in self._orphaned(_as_async(orphaned)):
                erased += await self._erase(record, OF_STUDIES)
        return erased

    async def _by_age(self) -> int:
        before_us, day = day_before(self._clock.now_us(), self._keep_days)
        due = [record async for page in self._orders.aged(DEFAULT_PARTITION, before_us, day) for record in page]
        erased = 0
        for record in due:
            erased += await self._erase(record, OF_AGE)
        return erased

    async def _erase(self, record: Aged, reason: str) -> bool:
        await self._clock.sleep(self._pause)
        try:
            if record.order:
                await self._erasing.erase(record.order, SOURCE, reason, even_started=reason == OF_AGE)
            else:
                await self._erasing.erase_performed(record.performed, SOURCE, reason)
        except (Held, Conflicting, NotFound):
            return False  # it stays as long as the hold is in force; or another process erased it first
        return True

    async def _all(self) -> AsyncIterator[Aged]:
        """All orders, and performed steps without one."""
        after = ""
        while keys := await self._orders.keys(DEFAULT_PARTITION, after, _PAGE):
            for key in keys:
                yield Aged(order=key)
            after = keys[-1]
        async for page in self._orders.unordered(DEFAULT_PARTITION):
            for step in page:
                yield Aged(performed=step.uid)

    async def _orphaned(self, records: AsyncIterable[Aged]) -> AsyncIterator[Aged]:
        """Finished orders and steps with at least one study that is gone, and none that is stored."""
        if not await has_followed(self._log, self._clock, _PATIENCE):
            raise DependencyUnavailable("index", "the indexers are behind")
        async for record in records:
            studies = await self._studies_of(record)
            if studies:
                await self._clock.sleep(self._pause)
                if await self._are_gone(studies):
                    yield record

    async def _studies_of(self, record: Aged) -> Sequence[str]:
        """The studies of a finished order or step; empty if it is not finished."""
        if record.performed:
            step = await self._orders.performed(DEFAULT_PARTITION, record.performed)
            return studies_of(None, [step]) if step is not None and step.state in FINAL else ()
        _, today = day_before(self._clock.now_us(), 0)
        standing = await self._orders.order(DEFAULT_PARTITION, record.order)
        if standing is None or not is_over(*standing, today):
            return ()
        return studies_of(standing[0], await self._orders.performed_alone(DEFAULT_PARTITION, record.order))

    async def _are_gone(self, studies: Iterable[str]) -> bool:
        gone = False
        for study in studies:
            if await known_study(self._index, DEFAULT_PARTITION, study, deleted=True) is not None:
                return False
            pages = self._index.find_decided(DEFAULT_PARTITION, study)
            collected = [receipt.deletion_state.collected async for page in pages for receipt in page]
            if not all(collected):
                return False
            gone = gone or bool(collected)
        return gone


async def _as_async(records: Iterable[Aged]) -> AsyncIterator[Aged]:
    for record in records:
        yield record
