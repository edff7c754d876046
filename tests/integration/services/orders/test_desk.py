"""Append, follow, answer: on a real log, with several processes."""

from __future__ import annotations

import asyncio

import pytest

from gantry.common.adapters.sqlite import SqliteLog
from gantry.common.adapters.sqlite.log.records import insert
from gantry.common.clock import SystemClock
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import DependencyUnavailable
from gantry.common.orders import OrderCancellation, OrderChange, PerformedState, PlacedOrder, StepState
from gantry.services.orders.desk import OrderDesk
from tests.integration.services.orders.conftest import Start
from tests.support.orders import attributes, created, ended, order, set_


def one_order(change: str = "") -> PlacedOrder:
    return PlacedOrder("A1", order(), "rest test", change=change)


async def test_an_order_is_placed_changed_and_cancelled(start: Start) -> None:
    process = await start()
    assert (await process.desk.place(one_order())).accepted
    changed = await process.desk.change(OrderChange("A1", attributes(PatientID="P2"), "rest test"))
    assert changed.state is not None
    assert changed.state.attributes[TAGS["PatientID"]] == ["P2"]
    cancelled = await process.desk.cancel(OrderCancellation("A1", "rest test", reason="a mistake"))
    assert cancelled.state is not None
    assert cancelled.state.cancelled
    refused = await process.desk.cancel(OrderCancellation("A1", "rest test"))
    assert (refused.accepted, refused.reason) == (False, "the order is cancelled; it can be placed again")
    assert process.moved("OrderCancelled", "accepted") == process.moved("OrderCancelled", "refused") == 1.0
    assert process.moved("OrderPlaced", "accepted") == 1.0


async def test_a_change_that_is_sent_twice_is_one(start: Start) -> None:
    process = await start()
    first, again = await process.desk.place(one_order("mine")), await process.desk.place(one_order("mine"))
    assert first == again
    assert len(await process.orders.history("default", "A1")) == 1


async def test_processes_that_are_asked_at_once_agree_which_came_first(start: Start) -> None:
    processes = [await start() for _ in range(3)]
    verdicts = await asyncio.gather(
        *(process.desk.perform(created(change=f"m{n}")) for n, process in enumerate([*processes, *processes]))
    )
    assert sorted(verdict.status for verdict in verdicts) == [0x0000] + [0x0111] * 5
    ends = ["COMPLETED", "DISCONTINUED"] * 3
    pairs = list(zip(processes * 2, ends, strict=True))
    over = await asyncio.gather(
        *(process.desk.perform(set_(ended(s), f"e{n}")) for n, (process, s) in enumerate(pairs))
    )
    assert sorted((verdict.status, verdict.error_id) for verdict in over) == [(0, 0)] + [(0x0110, 0xA710)] * 5
    states = {result.state.state for result in over if result.state is not None}
    assert len(states) == 1
    assert states <= {PerformedState.COMPLETED, PerformedState.DISCONTINUED}


async def test_a_process_that_starts_later_has_what_is_on_the_log(start: Start) -> None:
    first = await start()
    await first.desk.place(one_order())
    await first.desk.perform(created())
    second = await start()
    row = await second.orders.order("default", "A1")
    assert row is not None
    assert row[1] == {"S1": StepState.STARTED}
    assert row == await first.orders.order("default", "A1")


async def test_a_verdict_that_does_not_come_is_no_answer(start: Start, log: SqliteLog) -> None:
    process = await start()
    process.following.cancel()
    desk = OrderDesk(process.objects, log, process.follower, SystemClock(), 0.05)
    with pytest.raises(DependencyUnavailable, match="not followed within"):
        await desk.place(one_order("mine"))
    # It is on the log all the same: whoever reads it goes on from there, and asking again is harmless.
    assert (await (await start()).desk.place(one_order("mine"))).accepted


async def test_an_event_of_a_newer_release_does_not_stop_the_others(start: Start, log: SqliteLog) -> None:
    process = await start()
    await log._writer.run(lambda connection: insert(connection, "orders", "A1", 1, b"of tomorrow"))
    assert (await process.desk.place(one_order())).accepted
