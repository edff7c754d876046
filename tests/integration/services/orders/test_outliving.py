"""Which orders go by themselves: old ones, and those whose studies were deleted for good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.adapters.sqlite.index.index import SqliteIndex
from gantry.common.clock import SystemClock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import INDEXED, INDEXERS
from gantry.common.ids import ORDER_VALUES
from gantry.common.lifecycle import Deletion, DeletionState
from gantry.common.orders import PlacedOrder
from gantry.common.ports.index import Decision, InstanceKey
from gantry.common.runtime.protection import Protection
from gantry.services.orders import outliving
from gantry.services.orders.erasing import OrderErasing
from gantry.services.orders.outliving import Outliving
from tests.integration.services.orders.conftest import Process, Start
from tests.support.entries import entry
from tests.support.orders import created, ended, order, performed, reference, set_, step

ONE, TWO = entry(1), entry(2, study="1.2.4", series="1.2.4.1", sop="1.2.4.1.1")
GONE = DeletionState(frozenset([Deletion("d", 1)])) | DeletionState(collected=True)
DAY_US = 24 * 3600 * 1_000_000


class Later(SystemClock):
    """So many days from now, in which nobody waits."""

    def __init__(self, days: int) -> None:
        self._ahead = days * DAY_US

    def now_us(self) -> int:
        return super().now_us() + self._ahead

    async def sleep(self, seconds: float) -> None:
        return


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[SqliteIndex]:
    opened = await open_sqlite_index(tmp_path / "index.db")
    yield opened
    await opened.close()


async def looking(process: Process, index: SqliteIndex, *, keep_days: int = 0, days: int = 0) -> Outliving:
    # The indexers have followed: there is nothing on their topics.
    async with process.log.consumer(INDEXERS, INDEXED):
        pass
    clock = Later(days)
    erasing = OrderErasing(process.desk, process.orders, Protection(process.log, index, clock), process.metrics)
    return Outliving(
        erasing, process.orders, index, process.log, clock, keep_days=keep_days, rate=1000.0, erase_after=0.0
    )


async def collect(index: SqliteIndex, event: object, deletion_state: DeletionState = GONE) -> None:
    key = InstanceKey(event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid)  # type: ignore[attr-defined]
    await index.decide([Decision("default", key, event.receipt, deletion_state)])  # type: ignore[attr-defined]


async def is_there(process: Process, key: str = "A1") -> bool:
    return await process.orders.order("default", key) is not None


async def test_an_order_goes_when_the_last_of_its_studies_is_collected(start: Start, index: SqliteIndex) -> None:
    process = await start()
    look = await looking(process, index)
    await process.desk.place(PlacedOrder("A1", order(), "rest test"))
    await process.desk.perform(created(performed(reference(StudyInstanceUID="1.2.4"))))
    await process.desk.perform(set_(ended()))
    await index.apply([ONE, TWO])
    assert await look.look() == 0
    await collect(index, ONE)
    assert await look.look() == 0
    await collect(index, TWO, DeletionState(frozenset([Deletion("d", 1)])))
    assert await look.look() == 0  # deleted, and may be restored
    await collect(index, TWO)
    assert await look.look() == 1
    assert not await is_there(process)
    assert [stat async for stat in process.objects.list(f"{ORDER_VALUES}/")] == []
    assert await look.look() == 0


async def test_an_order_whose_study_never_came_stays(start: Start, index: SqliteIndex) -> None:
    process = await start()
    await process.desk.place(PlacedOrder("A1", order(), "rest test"))
    assert await (await looking(process, index)).look() == 0


async def test_what_was_performed_without_an_order_goes_with_its_study(start: Start, index: SqliteIndex) -> None:
    process = await start()
    look = await looking(process, index)
    await process.desk.perform(created())
    await index.apply([ONE])
    await collect(index, ONE)
    assert await look.look() == 0  # it is in progress
    await process.desk.perform(set_())
    assert await look.look() == 1
    assert await process.orders.performed("default", "1.2.840.5") is None


async def test_a_step_to_come_or_in_progress_keeps_its_order(start: Start, index: SqliteIndex) -> None:
    process = await start()
    look = await looking(process, index)
    future = step("S2", ScheduledProcedureStepStartDate="29991231")
    await process.desk.place(PlacedOrder("A1", order(step("S1"), future), "rest test"))
    await process.desk.place(PlacedOrder("A2", order(AccessionNumber="A2", StudyInstanceUID="1.2.4"), "rest test"))
    in_progress = performed(reference(AccessionNumber="A2", StudyInstanceUID="1.2.4"))
    await process.desk.perform(created(in_progress))
    await index.apply([ONE, TWO])
    await collect(index, ONE)
    await collect(index, TWO)
    assert await look.look() == 0
    await process.desk.perform(set_())
    assert await look.look() == 1
    assert await is_there(process, "A1")
    assert not await is_there(process, "A2")


async def test_nothing_goes_after_its_studies_while_the_indexers_are_behind(
    start: Start, index: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await start()
    monkeypatch.setattr(outliving, "_PATIENCE", 0.05)
    await process.desk.place(PlacedOrder("A1", order(), "rest test"))
    erasing = OrderErasing(process.desk, process.orders, Protection(process.log, index, SystemClock()), process.metrics)
    look = Outliving(
        erasing, process.orders, index, process.log, SystemClock(), keep_days=0, rate=1000.0, erase_after=0.0
    )
    with pytest.raises(DependencyUnavailable):
        await look.look()


async def test_old_orders_go_by_their_age_with_what_was_performed(start: Start, index: SqliteIndex) -> None:
    process = await start()
    await process.desk.place(PlacedOrder("A1", order(), "rest test"))
    now = SystemClock().now_us()
    await process.desk.perform(replace(created(), at=now))  # it never ends
    alone = created(performed(reference(StudyInstanceUID="1.9", AccessionNumber="")), "m7", "1.7")
    await process.desk.perform(replace(alone, at=now))
    later = step(ScheduledProcedureStepStartDate="29991231")
    await process.desk.place(
        PlacedOrder("A2", order(later, AccessionNumber="A2", StudyInstanceUID="1.2.4"), "rest test")
    )
    assert await (await looking(process, index, keep_days=100, days=99)).look() == 0
    assert await (await looking(process, index, keep_days=0, days=101)).look() == 0
    assert await (await looking(process, index, keep_days=100, days=101)).look() == 2
    assert not await is_there(process, "A1")
    assert await is_there(process, "A2")
    assert await process.orders.performed("default", "1.7") is None
    assert await process.orders.performed("default", "1.2.840.5") is None
    second = await start()
    assert await second.orders.performed("default", "1.7") is None
    assert len([stat async for stat in process.objects.list(f"{ORDER_VALUES}/")]) == 1
