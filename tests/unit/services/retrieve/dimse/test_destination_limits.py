"""How many associations to C-MOVE destinations may be open."""

from __future__ import annotations

import asyncio

from gantry.services.retrieve.dimse.destination_limits import DestinationLimits


class Traffic:
    def __init__(self, lanes: DestinationLimits) -> None:
        self.lanes = lanes
        self.under_way: list[str] = []
        self.done: list[str] = []
        self.go = asyncio.Event()

    async def move(self, name: str, port: int) -> None:
        async with self.lanes.lane_to("10.0.0.1", port):
            self.under_way.append(name)
            await self.go.wait()
            self.under_way.remove(name)
            self.done.append(name)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_destination_has_so_many_lanes_and_the_rest_wait_in_order() -> None:
    traffic = Traffic(DestinationLimits(10, 2))
    tasks = [asyncio.create_task(traffic.move(f"a{n}", 104)) for n in range(5)]
    await settled()
    assert traffic.under_way == ["a0", "a1"]
    traffic.go.set()
    await asyncio.gather(*tasks)
    assert traffic.done == ["a0", "a1", "a2", "a3", "a4"]


async def test_a_destination_that_is_stuck_holds_up_nobody_else() -> None:
    traffic = Traffic(DestinationLimits(3, 2))
    stuck = [asyncio.create_task(traffic.move(f"stuck{n}", 104)) for n in range(50)]
    await settled()
    other = [asyncio.create_task(traffic.move(f"other{n}", 105)) for n in range(2)]
    await settled()
    # One of three is left, although fifty wait for the stuck one.
    assert traffic.under_way == ["stuck0", "stuck1", "other0"]
    for task in stuck[2:]:
        task.cancel()
    await asyncio.gather(*stuck[2:], return_exceptions=True)
    traffic.go.set()
    await asyncio.gather(*stuck[:2], *other)
    assert set(traffic.done) == {"stuck0", "stuck1", "other0", "other1"}


async def test_who_gives_up_waiting_takes_no_lane_along() -> None:
    traffic = Traffic(DestinationLimits(1, 1))
    first = asyncio.create_task(traffic.move("first", 104))
    await settled()
    waiting = asyncio.create_task(traffic.move("waiting", 104))
    await settled()
    waiting.cancel()
    traffic.go.set()
    await asyncio.gather(first, waiting, return_exceptions=True)
    await asyncio.wait_for(traffic.move("next", 104), 1)
    assert traffic.done == ["first", "next"]


async def test_nothing_stays_of_a_destination_to_which_nothing_is_sent() -> None:
    limits = DestinationLimits(in_all=4, per_destination=1)
    waiting = asyncio.Event()

    async def use() -> None:
        async with limits.lane_to("192.0.2.1", 104):
            await waiting.wait()

    users = [asyncio.create_task(use()) for _ in range(3)]
    await asyncio.sleep(0)
    assert len(limits) == 1
    users[2].cancel()
    waiting.set()
    await asyncio.gather(*users, return_exceptions=True)
    assert len(limits) == 0
