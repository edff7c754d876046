"""Tasks that no caller awaits: a sink discards a partly received object, or becomes ready again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from gantry.common.telemetry.logs import get_logger

logger = get_logger("net")

_tasks: set[asyncio.Task[None]] = set()


def spawn(work: Coroutine[object, object, None]) -> None:
    """Run `work` in a task of its own; its exception is logged."""
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_finish)


def _finish(task: asyncio.Task[None]) -> None:
    _tasks.discard(task)
    if not task.cancelled() and task.exception() is not None:
        logger.error("background work failed", error=repr(task.exception()))
