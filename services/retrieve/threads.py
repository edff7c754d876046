"""Work in a thread that uses the caller's buffers and descriptors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(call: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """The result of a call. A cancellation is passed on only when the thread is done: until then it uses what the
    caller is about to close or to use for something else."""
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
