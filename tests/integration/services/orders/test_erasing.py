"""What is erased is gone in every process, and its objects are; nothing of it comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import SqliteLog, open_sqlite_index
from gantry.common.adapters.sqlite.index.index import SqliteIndex
from gantry.common.clock import ManualClock, SystemClock
from gantry.common.errors import Conflicting, Held, NotFound
from gantry.common.events import OrderErased
from gantry.common.ids import ORDER_VALUES, Receipt
from gantry.common.lifecycle import held_patient, holder_of
from gantry.common.orders import OrderChange, OrderErasure, PlacedOrder, StepState, StudyLink
from gantry.common.ports.index import HoldChange
from gantry.common.runtime.order_values import write_values
from gantry.common.runtime.protection import Protection
from gantry.services.orders.erasing import OrderErasing
from gantry.services.orders.unnamed import UnnamedValues
from tests.integration.services.orders.conftest import Process, Start
from tests.support.orders import attributes, created, ended, order, performed, placed, reference, set_, step


async def erase(process: Process, key: str = "A1", *performed: str) -> None:
    known = await process.orders.last_change("default", key)
    verdict = await process.desk.erase(OrderErasure(key, "rest test", known, performed, "the law"))
    assert verdict.accepted, verdict.reason


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[SqliteIndex]:
    opened = await open_sqlite_index(tmp_path / "index.db")
    yield opened
    await opened.close()


def erasing_of(process: Process, index: SqliteIndex) -> OrderErasing:
    protection = Protection(process.log, index, SystemClock())
    return OrderErasing(process.desk, process.orders, protection, process.metrics)


async def objects_left(process: Process) -> int:
    return len([stat async for stat in process.objects.list(f"{ORDER_VALUES}/")])


async def a_case(process: Process) -> None:
    await process.desk.place(PlacedOrder("A1", order(), "rest test", change="p1"))
    await process.desk.change(OrderChange("A1", attributes(PatientID="P2"), "rest test"))
    await process.desk.perform(created())
    await process.desk.perform(set_())


async def test_an_erased_order_is_gone_in_every_process_with_what_was_performed(start: Start) -> None:
    first, second = await start(), await start()
    await a_case(first)
    await erase(second, "A1", "1.2.840.5")
    assert await objects_left(first) == 0
    third = await start()
    for process in (second, third):
        assert await process.orders.order("default", "A1") is None
        assert await process.orders.performed("default", "1.2.840.5") is None
        (erased,) = await process.orders.history("default", "A1")
        assert isinstance(erased.event, OrderErased)
    # Nor does anything come of what was asked before, or of the performed step's UID.
    again = await third.desk.place(PlacedOrder("A1", order(), "rest test", change="p1"))
    assert (again.accepted, again.reason) == (False, "what it said is erased")
    assert (await third.desk.perform(created(change="m9"))).status == 0x0111
    assert (await third.desk.perform(set_(change="m10"))).status == 0x0112
    await third.follower.remove_erased()
    assert await objects_left(third) == 0


async def test_an_order_that_is_placed_anew_is_another_one(start: Start) -> None:
    first = await start()
    await a_case(first)
    await erase(first, "A1", "1.2.840.5")
    assert (await first.desk.place(PlacedOrder("A1", order(PatientID="P7"), "rest test"))).accepted
    second = await start()
    row = await second.orders.order("default", "A1")
    assert row is not None
    assert row == await first.orders.order("default", "A1")
    assert row[1] == {"S1": StepState.SCHEDULED}
    assert [type(change.event).__name__ for change in await second.orders.history("default", "A1")] == [
        "OrderErased", "OrderPlaced",
    ]  # fmt: skip


async def test_what_is_known_of_erased_orders_is_the_same_whichever_topic_is_read_first(
    start: Start, log: SqliteLog
) -> None:
    """An order of one process, whose topics another one reads the other way round."""
    process = await start()
    await process.desk.place(PlacedOrder("A1", order(), "rest test"))
    await erase(process, "A1", "1.2.840.5")
    verdict = await process.desk.perform(created())
    assert (verdict.accepted, verdict.status) == (False, 0x0111)
    assert await process.orders.performed("default", "1.2.840.5") is None
    await process.follower.remove_erased()
    assert await objects_left(process) == 0


async def test_a_step_in_progress_and_a_hold_stand_in_the_way(start: Start, index: SqliteIndex) -> None:
    process = await start()
    erasing = erasing_of(process, index)
    with pytest.raises(NotFound):
        await erasing.erase("A1", "rest test", "x")
    await process.desk.place(PlacedOrder("A1", order(), "rest test"))
    await process.desk.perform(created())
    with pytest.raises(Conflicting, match="in progress"):
        await erasing.erase("A1", "rest test", "x")
    await process.desk.perform(set_())
    held = holder_of(held_patient("P1"))
    await index.hold([HoldChange("default", held, "h1", True)])
    with pytest.raises(Held):
        await erasing.erase("A1", "rest test", "x")
    await index.hold([HoldChange("default", held, "h1", False)])
    await index.hold([HoldChange("default", "1.2.3", "h2", True)])
    with pytest.raises(Held):
        await erasing.erase("A1", "rest test", "x")
    await index.hold([HoldChange("default", "1.2.3", "h2", False)])
    await erasing.erase("A1", "rest test", "x")
    assert await objects_left(process) == 0
    with pytest.raises(NotFound):
        await erasing.erase("A1", "rest test", "x")
    erased = process.metrics.registry.get_sample_value("gantry_orders_erased_total", {"what": "order"})
    assert erased == 1.0


async def test_what_was_performed_for_two_orders_goes_with_the_second(start: Start, index: SqliteIndex) -> None:
    process = await start()
    erasing = erasing_of(process, index)
    for key in ("A1", "A2"):
        values = order(step("S1"), AccessionNumber=key, StudyInstanceUID=f"1.2.{key[1]}")
        await process.desk.place(PlacedOrder(key, values, "rest test"))
    both = [reference(AccessionNumber=key, StudyInstanceUID=f"1.2.{key[1]}") for key in ("A1", "A2")]
    await process.desk.perform(created(performed(*both)))
    await process.desk.perform(set_(ended()))
    await erasing.erase("A1", "rest test", "x")
    assert await process.orders.performed("default", "1.2.840.5") is not None
    row = await process.orders.order("default", "A2")
    assert row is not None
    assert row[1] == {"S1": StepState.COMPLETED}
    await erasing.erase("A2", "rest test", "x")
    assert await process.orders.performed("default", "1.2.840.5") is None
    assert await objects_left(process) == 0


async def test_of_an_erased_order_a_linked_study_is_free_again(start: Start) -> None:
    process = await start()
    await process.desk.place(PlacedOrder("A1", order(), "rest test"))
    await process.desk.place(PlacedOrder("A2", order(AccessionNumber="A2", StudyInstanceUID="1.2.4"), "rest test"))
    await process.desk.perform(created(performed(reference())))
    await process.desk.link(StudyLink("A2", "1.2.3", "rest test", "k1"))
    row = await process.orders.order("default", "A1")
    assert row is not None
    assert row[1] == {"S1": StepState.SCHEDULED}
    await erase(process, "A2")
    assert await process.orders.linked_to("default", "1.2.3") == ""
    row = await process.orders.order("default", "A1")
    assert row is not None
    assert row[1] == {"S1": StepState.STARTED}


async def test_only_values_that_no_event_names_are_removed_after_a_day(start: Start) -> None:
    process = await start()
    await process.desk.place(PlacedOrder("A1", order(), "rest test"))
    now_us = SystemClock().now_us()
    for hours in (1, 30):
        await write_values(process.objects, placed(), Receipt.at(now_us - hours * 3600 * 1_000_000))
    clock = ManualClock(now_us)
    unnamed = UnnamedValues(process.objects, process.log, process.orders, process.follower, clock)
    assert await unnamed.remove() == 1
    clock.advance(24 * 3600)
    assert await unnamed.remove() == 1
    assert await objects_left(process) == 1
    assert await process.orders.order("default", "A1") is not None


async def test_a_step_without_an_order_is_erased_by_itself(start: Start, index: SqliteIndex) -> None:
    process = await start()
    erasing = erasing_of(process, index)
    await process.desk.perform(created())
    with pytest.raises(NotFound):
        await erasing.erase_performed("1.9", "rest test", "x")
    await process.desk.place(PlacedOrder("A1", order(), "rest test"))
    with pytest.raises(Conflicting, match="for order A1"):
        await erasing.erase_performed("1.2.840.5", "rest test", "x")
    await process.desk.change(OrderChange("A1", {}, "rest test", {"S1": None}))
    await index.hold([HoldChange("default", "1.2.3", "h", True)])
    with pytest.raises(Held):
        await erasing.erase_performed("1.2.840.5", "rest test", "x")
    await index.hold([HoldChange("default", "1.2.3", "h", False)])
    await erasing.erase_performed("1.2.840.5", "rest test", "x")
    second = await start()
    for member in (process, second):
        assert await member.orders.performed("default", "1.2.840.5") is None
    assert await objects_left(process) == 2
