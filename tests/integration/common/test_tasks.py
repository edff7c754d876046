"""Ending tasks for certain."""

from __future__ import annotations

import asyncio

import pytest

from gantry.common import tasks
from gantry.common.tasks import end_tasks


async def test_a_task_that_loses_its_first_cancellation_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_AGAIN_SECONDS", 0.01)
    lost, over = 0, False

    async def forgetful() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost == 3 or over:
                    raise

    task = asyncio.create_task(forgetful())
    await asyncio.sleep(0)
    ending = asyncio.create_task(end_tasks(task, None))
    ended, _ = await asyncio.wait({ending}, timeout=5)
    over = True  # so that a failure is no hang
    assert ended
    assert task.cancelled()
    assert lost == 3


async def test_what_tasks_raise_and_return_is_of_no_interest() -> None:
    async def fails() -> None:
        raise ValueError

    async def returns() -> int:
        return 1

    ended = [asyncio.create_task(fails()), asyncio.create_task(returns())]
    await asyncio.wait(ended)
    await end_tasks(*ended)


async def test_a_task_may_tidy_up_before_it_ends() -> None:
    tidied = False

    async def tidy() -> None:
        nonlocal tidied
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            tidied = True

    task = asyncio.create_task(tidy())
    await asyncio.sleep(0)
    await end_tasks(task)
    assert tidied
