"""Events of workitems, read from a real log, and who gets reports of them."""

from __future__ import annotations

from gantry.common.clock import SystemClock
from gantry.common.ports.log import Record
from gantry.services.orders.workitems.desk import Asker, WorkitemDesk
from gantry.services.orders.workitems.happenings import TOPIC, Happenings, events_in
from gantry.services.orders.workitems.routes import workitem_routes
from tests.integration.services.orders.conftest import Process, Start
from tests.support.workitems import MINE, UID, done, why, workitem

ASKER = Asker("ae WORKER")
EVERY = "1.2.840.10008.5.1.4.34.5"


async def everything(process: Process) -> list[Record]:
    return [record async for record in process.log.replay(TOPIC)]


async def told(process: Process) -> list[tuple[str, int, str]]:
    """Who is told what, from the beginning of the log."""
    happenings = Happenings(process.objects, process.orders, process.follower, SystemClock())
    records = await everything(process)
    ends = await process.log.ends(TOPIC)
    return [
        (notice.subscriber, int(report.type), str(report.information.get(0x00741000, [""])[0]))
        async for happening in happenings.of(events_in(records), ends)
        for report in happening.reports
        for notice in happening.told
    ]


async def test_nothing_is_told_of_what_happened_before_somebody_subscribed(start: Start) -> None:
    process = await start()
    desk = WorkitemDesk(process.desk)
    await desk.create(UID, workitem(), ASKER)
    await desk.change_state(UID, "IN PROGRESS", MINE, ASKER)
    await desk.subscribe(EVERY, "BOARD", {}, ASKER, lock=False)
    await desk.set(UID, done(), MINE, ASKER)
    await desk.change_state(UID, "COMPLETED", MINE, ASKER)
    assert await told(process) == [("BOARD", 1, "COMPLETED")]


async def test_what_was_refused_or_changed_nothing_is_not_told(start: Start) -> None:
    process = await start()
    desk = WorkitemDesk(process.desk)
    await desk.subscribe(EVERY, "BOARD", {}, ASKER, lock=False)
    await desk.create(UID, workitem(), ASKER)
    await desk.create(UID, workitem(), ASKER)
    await desk.change_state(UID, "COMPLETED", MINE, ASKER)
    await desk.request_cancel(UID, {}, ASKER)
    await desk.request_cancel(UID, {}, ASKER)
    assert await told(process) == [("BOARD", 1, "SCHEDULED"), ("BOARD", 1, "CANCELED")]


async def test_what_is_erased_is_told_no_more(start: Start) -> None:
    process = await start()
    desk = WorkitemDesk(process.desk)
    await desk.subscribe(EVERY, "BOARD", {}, ASKER, lock=False)
    await desk.create(UID, workitem(), ASKER)
    await desk.erase(UID, "the law", ASKER)
    assert await told(process) == []


async def test_a_process_that_starts_later_tells_the_same_by_the_same_names(start: Start) -> None:
    first = await start()
    desk = WorkitemDesk(first.desk)
    await desk.subscribe(EVERY, "BOARD", {}, ASKER, lock=False)
    await desk.create(UID, workitem(), ASKER)
    await desk.change_state(UID, "IN PROGRESS", MINE, ASKER)
    await desk.set(UID, why(), MINE, ASKER)

    async def names(process: Process) -> list[str]:
        happenings = Happenings(process.objects, process.orders, process.follower, SystemClock())
        changes = happenings.of(events_in(await everything(process)), await process.log.ends(TOPIC))
        return [route.route async for change in changes for route in workitem_routes(change, ["BOARD"], 1)]

    assert len(await names(first)) == 3
    assert await names(first) == await names(await start())
