"""Answers about secrets from elsewhere: one query at a time for each, and cached for a while.

the same secret meanwhile             waits for the same answer; a caller that leaves does not end it for others
within `every` seconds of an answer   gets it again
after a failed query                  the next caller asks again
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Generic, TypeVar

from gantry.common.clock import Clock

T = TypeVar("T")
_MOST_KNOWN = 4096
_AT_ONCE = 8
"""Most queries under way; further ones wait for their turn."""


class RememberedAnswers(Generic[T]):
    """The answers of one server. Secrets are held only as digests."""

    def __init__(self, clock: Clock, every: float, deadline: float) -> None:
        """`every`: how long an answer is valid; `deadline` of a query, including the wait for its turn. In seconds."""
        self._clock = clock
        self._every = every
        self._deadline = deadline
        self._known: dict[bytes, tuple[float, T]] = {}
        """When each answer expires (monotonic seconds), and the answer."""
        self._asking: dict[bytes, asyncio.Task[T]] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def answer(self, secret: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The cached answer about the secret, or that of `ask`, which queries within `turn`. Passes on its errors."""
        key = hashlib.sha256(secret.encode()).digest()
        known = self._known.get(key)
        if known is not None and self._clock.monotonic() < known[0]:
            return known[1]
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.get_running_loop().create_task(self._ask(key, ask))
            task.add_done_callback(partial(self._is_over, key))
        return await asyncio.shield(task)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a free place, then query. Raises `TimeoutError` at the deadline for both."""
        async with asyncio.timeout(self._deadline), self._turns:
            yield

    async def close(self) -> None:
        """End the queries under way."""
        for task in list(self._asking.values()):
            task.cancel()

    async def _ask(self, key: bytes, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        answer = await ask()
        self._known.pop(key, None)
        while len(self._known) >= _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[key] = self._clock.monotonic() + self._every, answer
        return answer

    def _is_over(self, key: bytes, task: asyncio.Task[T]) -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # retrieved, even if no caller waits any more
