"""Ending asyncio tasks for certain, and letting others run."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Generator
from typing import Any

_AGAIN_SECONDS = 5.0
"""How long a task may tidy up before it is cancelled once more."""


async def end_tasks(*tasks: asyncio.Future[Any] | None) -> None:
    """Cancel tasks and return when all of them have ended, whatever they raised.

    A single `cancel` is not enough: where it meets the end of an `asyncio.wait_for` it is lost on Python 3.11, and
    libraries that catch `BaseException` lose it too. The task then goes on for ever, and so does whoever waits for it.
    """
    open_tasks = {task for task in tasks if task is not None and not task.done()}
    while open_tasks:
        for task in open_tasks:
            task.cancel()
        _, open_tasks = await asyncio.wait(open_tasks, timeout=_AGAIN_SECONDS)
    for ended in tasks:
        if ended is not None and not ended.cancelled():
            ended.exception()  # looked at: otherwise the loop logs it as forgotten


@types.coroutine
def turn() -> Generator[None, None, None]:
    """Let other ready tasks run first."""
    yield
