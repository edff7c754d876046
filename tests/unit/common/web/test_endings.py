"""`gantry.common.web.endings`: when an answer ends that would go on."""

from __future__ import annotations

import asyncio

from gantry.common.clock import ManualClock
from gantry.common.tasks import end_tasks
from gantry.common.web.endings import LOOK_AGAIN_SECONDS, Endings


class Caller:
    def __init__(self) -> None:
        self.may, self.asked = True, 0

    async def __call__(self) -> bool:
        self.asked += 1
        return self.may


async def passed(clock: ManualClock, seconds: float) -> None:
    clock.advance(seconds)
    for _ in range(20):
        await asyncio.sleep(0)


async def test_an_answer_ends_when_its_caller_may_not_have_it_and_no_other_does() -> None:
    clock, leaves, stays = ManualClock(0), Caller(), Caller()
    endings = Endings(clock)
    running = asyncio.create_task(endings.run())
    await passed(clock, 0)
    with endings.begun() as first, endings.begun() as second, endings.begun() as unwatched:
        endings.watch(first, leaves)
        endings.watch(second, stays)
        await passed(clock, LOOK_AGAIN_SECONDS)
        assert (leaves.asked, stays.asked) == (1, 1)
        assert not first.is_set()
        leaves.may = False
        await passed(clock, LOOK_AGAIN_SECONDS)
        assert (first.is_set(), second.is_set(), unwatched.is_set()) == (True, False, False)
        await passed(clock, LOOK_AGAIN_SECONDS)
        assert (leaves.asked, stays.asked) == (2, 3), "what has ended is not looked at"
    await passed(clock, LOOK_AGAIN_SECONDS)
    assert stays.asked == 3, "what is over is not looked at"
    await end_tasks(running)


async def test_all_end_when_the_process_drains_also_those_that_begin_then() -> None:
    endings = Endings(ManualClock(0))
    with endings.begun() as before:
        assert not endings.all_end
        endings.end_all()
        assert (before.is_set(), endings.all_end) == (True, True)
    with endings.begun() as after:
        assert after.is_set()


async def test_a_caller_who_cannot_be_looked_at_or_for_whom_nobody_answers_holds_up_no_other() -> None:
    clock, leaves, never = ManualClock(0), Caller(), asyncio.Event()
    endings = Endings(clock)

    async def fault() -> bool:
        raise ZeroDivisionError

    async def waits() -> bool:
        await never.wait()
        return True

    running = asyncio.create_task(endings.run())
    await passed(clock, 0)
    with endings.begun() as faulty, endings.begun() as slow, endings.begun() as other:
        endings.watch(slow, waits)
        endings.watch(faulty, fault)
        endings.watch(other, leaves)
        leaves.may = False
        await passed(clock, LOOK_AGAIN_SECONDS)
        assert (faulty.is_set(), slow.is_set(), other.is_set()) == (True, False, True)
        assert not running.done()
        never.set()
    await end_tasks(running)
