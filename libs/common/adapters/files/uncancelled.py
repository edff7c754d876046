"""Awaiting a thread that uses the caller's memory: a cancellation waits until the thread has finished."""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def uncancelled(future: asyncio.Future[T]) -> T:
    """The result of `future`. A cancellation is passed on only when the future is done: a thread uses the caller's
    buffers until then, and the caller may reuse them as soon as it is cancelled."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue
        if not future.cancelled():
            future.exception()  # seen: the caller went away
        raise
