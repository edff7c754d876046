"""Which routes messages of modalities get, on a real log, its projection and its objects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gantry.common.adapters.files import FileStore, open_file_store
from gantry.common.adapters.sqlite import SqliteLog, open_sqlite_log
from gantry.common.adapters.sqlite.orders.index import SqliteOrders
from gantry.common.clock import SystemClock
from gantry.common.events import Event, RouteRequested, decode
from gantry.common.ids import Receipt
from gantry.common.net import Peer
from gantry.common.orders import StepEvent, ValuedEvent
from gantry.common.runtime.consumer import Delivery
from gantry.common.runtime.order_follower import Follower
from gantry.common.runtime.order_values import write_values
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.metrics import Metrics
from gantry.services.retrieve.routing.step_delivery import StepDelivery
from gantry.services.retrieve.routing.step_messages import StepRule
from gantry.services.retrieve.routing.step_requesting import GROUP, StepRequests, StepRouting
from tests.support.orders import created, set_
from tests.support.ports import free_port
from tests.support.step_receivers import StepKeeper, keeping

RULES = [StepRule("ris", frozenset(), to=("RIS",), notify=("BOARD",))]
AT = created().at


@dataclass(slots=True)
class Site:
    """One process that routes steps, without its loop."""

    objects: FileStore
    log: SqliteLog
    handler: StepRequests

    async def say(self, *events: StepEvent) -> None:
        """Append, as `OrderDesk` does."""
        for event in events:
            if isinstance(event, ValuedEvent):
                await self.log.append(await write_values(self.objects, event, Receipt.at(event.at)))
            else:
                await self.log.append(event)

    async def routes(self) -> list[RouteRequested]:
        """What is requested when all is read once more."""
        batch = [Delivery(record, decode(record.payload)) async for record in self.log.replay("procedure-steps")]
        await self.handler(batch)
        return await requested(self.log)


async def requested(log: SqliteLog) -> list[RouteRequested]:
    events: list[Event] = [decode(record.payload) async for record in log.replay("routes")]
    return [event for event in events if isinstance(event, RouteRequested)]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    log, orders, clock = await open_sqlite_log(tmp_path / "log.db", SystemClock()), SqliteOrders(), SystemClock()
    follower = Follower(objects, log, orders, clock, Metrics())
    following = asyncio.create_task(follower.run())
    yield Site(objects, log, StepRequests(RULES, log, objects, orders, follower, clock))
    await end_tasks(following)
    await orders.close()
    await log.close()
    await objects.close()


async def test_what_was_refused_is_told_to_nobody_and_no_route_names_a_patient(site: Site) -> None:
    await site.say(created(), replace(created(), change="again"), set_())
    routes = await site.routes()
    assert [(route.destination, route.kind, route.step_event) for route in routes] == [
        *(("BOARD", "step event", 1), ("RIS", "step", 1)),
        *(("BOARD", "step event", 2), ("RIS", "step", 2)),
    ]
    payloads = b"".join([record.payload async for record in site.log.replay("routes")])
    assert b"Doe" not in payloads


async def test_history_is_what_was_said_before_not_what_was_appended_before(site: Site) -> None:
    site.handler.since_us = AT + 1
    await site.say(created(), replace(set_(), at=AT + 2))
    assert {route.step_event for route in await site.routes()}.isdisjoint({1})
    assert len(await requested(site.log)) == 2


async def test_what_an_earlier_release_appends_is_sent_from_an_object_and_not_once_that_is_erased(site: Site) -> None:
    ris, message = StepKeeper(), created()
    await site.log.append(message)
    (route,) = [route for route in await site.routes() if route.kind == "step"]
    calls: list[tuple[object, ...]] = []
    delivery = StepDelivery(site.objects, 10.0, lambda *words: calls.append(words))
    with keeping(ris) as port:
        attempted = await delivery.attempt(route, Peer("127.0.0.1", port, "RIS", "GANTRY"))
        assert attempted.is_done
        assert attempted.taken
        assert ris.of(message.sop_instance_uid) == ["IN PROGRESS"]
        await site.objects.delete(route.values_key)
        attempted = await delivery.attempt(route, Peer("127.0.0.1", port, "RIS", "GANTRY"))
        assert (attempted.taken, attempted.failed, attempted.why) == ((), (), "what it said is erased")
    assert calls == [(message.sop_instance_uid, "N-CREATE", ("RIS", "127.0.0.1"), route.trace, "")]


def nobody_is_told(*words: object) -> None:
    """An event names a step and nobody: it is not on record."""
    pytest.fail(f"on record: {words}")


async def test_a_destination_that_does_not_know_the_sop_class_refuses_and_one_that_is_away_does_not(site: Site) -> None:
    await site.say(created())
    event = next(route for route in await site.routes() if route.kind == "step event")
    delivery = StepDelivery(site.objects, 10.0, nobody_is_told)
    with keeping(StepKeeper()) as port:
        attempted = await delivery.attempt(event, Peer("127.0.0.1", port, "RIS", "GANTRY"))
    assert (attempted.refused, attempted.is_done) == (True, False)
    attempted = await delivery.attempt(event, Peer("127.0.0.1", free_port(), "RIS", "GANTRY"))
    assert (attempted.refused, attempted.is_done) == (False, False)
    assert attempted.why.startswith("BOARD: ")


async def test_who_was_cut_off_after_it_joined_goes_on_where_it_was(site: Site) -> None:
    """The history is skipped by the first process, and by no other."""
    now = SystemClock().now_us()
    await site.say(replace(created(), at=now))
    first = StepRouting(site.handler, site.log, SystemClock(), Metrics(), 3600.0)
    running = asyncio.create_task(first.run())
    async with asyncio.timeout(20):
        while not await site.log.has_passed(GROUP, "procedure-steps", await site.log.ends("procedure-steps")):
            await asyncio.sleep(0.05)
    first.stop()
    await running
    assert await requested(site.log) == []
    await site.say(replace(set_(), at=now + 1))
    second = StepRouting(site.handler, site.log, SystemClock(), Metrics(), 3600.0)
    running = asyncio.create_task(second.run())
    async with asyncio.timeout(20):
        while not await requested(site.log):
            await asyncio.sleep(0.05)
    second.stop()
    await running
    assert {event.at >= now for event in await requested(site.log)} == {True}
    assert len(await requested(site.log)) == 2
