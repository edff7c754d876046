"""What orders say of patients: in objects of their own, read by every process, and by none once it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gantry.common.adapters.files import FileStore
from gantry.common.adapters.sqlite import SqliteLog
from gantry.common.adapters.sqlite.orders.index import SqliteOrders
from gantry.common.clock import SystemClock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import decode
from gantry.common.ids import ORDER_VALUES
from gantry.common.orders import OrderChange, PlacedOrder
from gantry.common.ports.blobs import Part
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.order_follower import FOLLOWED, Follower
from gantry.common.runtime.order_values import MOST_BYTES, by_size, read_values
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.metrics import Metrics
from tests.integration.services.orders.conftest import Process, Start
from tests.support.orders import attributes, created, order, placed, set_

MARKS = (b"Doe", b"P1", b"P2")


async def a_case(process: Process) -> None:
    await process.desk.place(PlacedOrder("A1", order(), "rest test"))
    await process.desk.change(OrderChange("A1", attributes(PatientID="P2"), "rest test"))
    await process.desk.perform(created())
    await process.desk.perform(set_())


async def on_the_log(log: SqliteLog) -> bytes:
    return b"".join([record.payload for topic in FOLLOWED async for record in log.replay(topic)])


async def keys_of(objects: FileStore) -> list[str]:
    return [stat.key async for stat in objects.list(f"{ORDER_VALUES}/")]


async def test_the_log_names_nobody_and_another_process_knows_it_all(start: Start, log: SqliteLog) -> None:
    first = await start()
    await a_case(first)
    payloads = await on_the_log(log)
    assert [mark for mark in MARKS if mark in payloads] == []
    assert len(await keys_of(first.objects)) == 4
    second = await start()
    for read in ("order", "history", "performed_of"):
        ours = await getattr(first.orders, read)("default", "A1")
        assert await getattr(second.orders, read)("default", "A1") == ours
        assert ours


async def test_events_of_earlier_releases_that_say_it_themselves_are_read(start: Start, log: SqliteLog) -> None:
    await log.append(placed(), created())
    process = await start()
    row = await process.orders.order("default", "A1")
    assert row is not None
    assert row[0].attributes[0x00100020] == ["P1"]


async def test_an_event_whose_object_is_gone_or_damaged_is_refused(start: Start, log: SqliteLog) -> None:
    first = await start()
    await a_case(first)
    keys = await keys_of(first.objects)
    await first.objects.delete(keys[0])
    await first.objects.put(keys[1], [b"other bytes"])
    second = await start()
    assert await second.orders.order("default", "A1") is None
    assert await second.orders.performed("default", "1.2.840.5") is not None
    assert second.moved("OrderPlaced", "refused") == second.moved("OrderChanged", "refused") == 1.0


class Away:
    """An object store that cannot be read for a while."""

    def __init__(self, objects: FileStore) -> None:
        self._objects = objects
        self.asked = asyncio.Event()
        self.away = True

    async def read(self, parts: Sequence[Part]) -> list[bytes]:
        self.asked.set()
        if self.away:
            raise DependencyUnavailable("objects", "away")
        return await self._objects.read(parts)


async def test_a_store_that_is_away_delays_the_follower_and_nothing_is_passed_over(
    start: Start, log: SqliteLog
) -> None:
    first = await start()
    await a_case(first)
    away, orders = Away(first.objects), SqliteOrders()
    follower = Follower(away, log, orders, SystemClock(), Metrics(), Delays(first=0.01, longest=0.05))  # type: ignore[arg-type]
    following = asyncio.create_task(follower.run())
    await away.asked.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await follower.caught_up()
    away.away = False
    await follower.caught_up()
    assert await orders.order("default", "A1") == await first.orders.order("default", "A1")
    await end_tasks(following)
    await orders.close()


async def test_many_values_are_read_together_also_where_some_are_gone(start: Start, log: SqliteLog) -> None:
    process = await start()
    for number in range(150):
        await process.desk.place(PlacedOrder(f"A{number}", order(PatientID=f"Q{number}"), "rest test"))
    events = [decode(record.payload) async for record in log.replay(FOLLOWED[0])]
    for key in (await keys_of(process.objects))[70:80]:
        await process.objects.delete(key)
    read = await read_values(process.objects, events)
    assert [event.values_size == 0 for event in read] == [70 <= n < 80 for n in range(150)]  # type: ignore[union-attr]


def test_large_values_are_in_memory_a_few_at_a_time() -> None:
    large = replace(created(), attributes=b"", values_key="k", values_size=MOST_BYTES // 3)
    assert [len(run) for run in by_size([large] * 8)] == [3, 3, 2]
    assert [len(run) for run in by_size([placed()] * 600)] == [512, 88]
    assert [len(run) for run in by_size([replace(large, values_size=2 * MOST_BYTES)] * 2)] == [1, 1]
