"""Answers about secrets, asked for elsewhere: each by one question at a time, and remembered for a while.

who comes with the same secret meanwhile        waits for the same answer; who goes away does not end it for others
who comes within `every` seconds of an answer   gets it again
a question that failed                          is asked again by who comes next
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
"""Questions under way; who comes then waits for his turn."""


class RememberedAnswers(Generic[T]):
    """Of one server. Secrets are held as digests alone."""

    def __init__(self, clock: Clock, every: float, deadline: float) -> None:
        """`every`: how long an answer counts; `deadline`: for a question, its turn included. In seconds."""
        self._clock = clock
        self._every = every
        self._deadline = deadline
        self._known: dict[bytes, tuple[float, T]] = {}
        """Until when (monotonic seconds), and what was answered."""
        self._asking: dict[bytes, asyncio.Task[T]] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def answer(self, secret: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What is known of the secret, or what `ask` finds out: it asks within `turn`. Raises what it raises."""
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
        """Wait until not too many ask already, then ask. Raises `TimeoutError` at the deadline for both."""
        async with asyncio.timeout(self._deadline), self._turns:
            yield

    async def close(self) -> None:
        """End what is under way."""
        for task in list(self._asking.values()):
            task.cancel()

    async def _ask(self, key: bytes, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        said = await ask()
        self._known.pop(key, None)
        while len(self._known) >= _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[key] = self._clock.monotonic() + self._every, said
        return said

    def _is_over(self, key: bytes, task: asyncio.Task[T]) -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # it is known, also where nobody waits any more
