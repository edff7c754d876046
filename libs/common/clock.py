"""Time is an argument: the only module that may ask the machine what time it is (ruff's banned-api enforces it)."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the rest of Gantry knows of time."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC. May jump when the machine's clock is set."""

    def monotonic(self) -> float:
        """Seconds from some start; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of monotonic time."""


class SystemClock:
    """The machine's clocks."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock for tests: stands still until `advance` is called; sleepers wake in order of their deadlines."""

    def __init__(self, start_us: int = 1_700_000_000_000_000) -> None:
        self._us = start_us
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now_us(self) -> int:
        return self._us

    def monotonic(self) -> float:
        return self._us / 1e6

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._us + int(seconds * 1e6), future))
        await future

    def advance(self, seconds: float) -> None:
        """Move time forward and wake who is due."""
        self._us += int(seconds * 1e6)
        due = [s for s in self._sleepers if s[0] <= self._us]
        self._sleepers = [s for s in self._sleepers if s[0] > self._us]
        for _, future in sorted(due, key=lambda s: s[0]):
            if not future.done():
                future.set_result(None)
