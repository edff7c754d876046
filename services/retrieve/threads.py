"""Calls in a thread that uses the caller's buffers and descriptors; and giving other tasks a turn on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from gantry.common.clock import SystemClock

_TIME = SystemClock()
P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(call: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """The result of a call. A cancellation is passed on only when the thread is done: until then it uses buffers and
    descriptors that the caller is about to close or reuse."""
    working = asyncio.ensure_future(asyncio.to_thread(call, *arguments, **named))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            try:
                await asyncio.wait([working])
            except asyncio.CancelledError:
                continue
        if not working.cancelled():
            working.exception()  # seen: the caller went away
        raise


async def give_way() -> None:
    """Give other tasks a turn: reads from the page cache and writes into a socket's buffer complete at once, so a loop
    over them would block the event loop."""
    await _TIME.sleep(0)
