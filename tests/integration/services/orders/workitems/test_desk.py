"""Workitems: append, follow, answer, on a real log with several processes."""

from __future__ import annotations

import asyncio

from gantry.common.adapters.files import FileStore
from gantry.common.clock import SystemClock
from gantry.common.workitems import WorkitemState
from gantry.services.orders.workitems.desk import Asker, WorkitemDesk
from gantry.services.orders.workitems.ending import EndedWorkitems
from tests.integration.services.orders.conftest import Start
from tests.support.workitems import MINE, UID, done, workitem

ASKER = Asker("rest test")


async def values_of(objects: FileStore) -> list[str]:
    return [entry.key async for entry in objects.list("order-values/")]


async def test_of_workers_that_claim_one_workitem_at_once_one_gets_it(start: Start) -> None:
    processes = [await start() for _ in range(3)]
    desks = [WorkitemDesk(process.desk) for process in processes]
    await desks[0].create(UID, workitem(), ASKER)
    claims = [
        desk.change_state(UID, "IN PROGRESS", f"1.2.{number}", ASKER) for number, desk in enumerate([*desks, *desks])
    ]
    verdicts = await asyncio.gather(*claims)
    assert sorted(verdict.status for verdict in verdicts) == [0] + [0xC301] * 5
    (winner,) = [number for number, verdict in enumerate(verdicts) if verdict.accepted]
    assert (await desks[0].set(UID, done(), f"1.2.{winner}", ASKER)).accepted
    assert not (await desks[1].change_state(UID, "COMPLETED", f"1.2.{(winner + 1) % 6}", ASKER)).accepted
    assert (await desks[2].change_state(UID, "COMPLETED", f"1.2.{winner}", ASKER)).accepted
    later = await (await start()).orders.workitem("default", UID)
    assert later is not None
    assert later.state is WorkitemState.COMPLETED


async def test_no_name_and_no_transaction_uid_is_on_the_log(start: Start) -> None:
    process = await start()
    desk = WorkitemDesk(process.desk)
    await desk.create(UID, workitem(PatientName="Secret^Name"), ASKER)
    await desk.change_state(UID, "IN PROGRESS", MINE, ASKER)
    await desk.set(UID, done(), MINE, ASKER)
    payloads: list[bytes] = []
    async for passed in process.log.follow("workitems", None, {0: 0}):
        payloads += [record.payload for record in passed.records]
        if len(payloads) >= 3:
            break
    assert len(payloads) == 3
    assert not any(b"Secret" in payload or MINE.encode() in payload for payload in payloads)


async def test_what_ended_long_ago_is_erased_with_its_objects(start: Start, objects: FileStore) -> None:
    process = await start()
    desk = WorkitemDesk(process.desk)
    await desk.create(UID, workitem(), ASKER)
    await desk.create("1.2.9", workitem(), ASKER)
    await desk.request_cancel(UID, {}, ASKER)
    assert len(await values_of(objects)) == 3
    clock = SystemClock()
    assert await EndedWorkitems(desk, process.orders, clock, process.metrics, 1, 1000).erase() == 0
    assert await EndedWorkitems(desk, process.orders, clock, process.metrics, 0, 1000).erase() == 1
    assert await process.orders.workitem("default", UID) is None
    assert await process.orders.workitem("default", "1.2.9") is not None
    assert len(await values_of(objects)) == 1
    assert process.metrics.registry.get_sample_value("gantry_orders_erased_total", {"what": "workitem"}) == 1
