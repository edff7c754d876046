"""Bounds on the cost of operations requests for a process with other work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gantry.common.web.errors import RETRY_AFTER_SECONDS, HttpProblem

_AGAIN = {"Retry-After": str(RETRY_AFTER_SECONDS)}


class RequestLimit:
    """A limit on concurrent requests, and on the time of each."""

    def __init__(self, at_once: int = 4, seconds: float = 30.0) -> None:
        self._free = at_once
        self._seconds = seconds

    @asynccontextmanager
    async def turn(self, seconds: float | None = None) -> AsyncIterator[None]:
        """Run as one of them. Raises `HttpProblem` 503 if there are too many, and when the time is over."""
        if not self._free:
            raise HttpProblem(503, "too many requests for operations at once: try again in a moment", _AGAIN)
        self._free -= 1
        limit = self._seconds if seconds is None else seconds
        try:
            async with asyncio.timeout(limit):
                yield
        except TimeoutError:
            raise HttpProblem(503, f"no answer within {limit:g} s: ask for less, or later", _AGAIN) from None
        finally:
            self._free += 1
