"""How many associations to C-MOVE destinations may be open at once: in all, and to one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class DestinationLimits:
    """Who finds no lane free waits for its turn, first come first served. A destination that is slow or dead holds its
    own lanes only: one of all is not taken before one of its own is free."""

    def __init__(self, in_all: int = 32, per_destination: int = 4) -> None:
        self._in_all = asyncio.Semaphore(in_all)
        self._per_destination = per_destination
        # Destinations come from the configuration: there are not many of them.
        self._to: dict[tuple[str, int], asyncio.Semaphore] = {}

    @asynccontextmanager
    async def to(self, host: str, port: int) -> AsyncIterator[None]:
        """A lane to whoever listens there, until the block is left."""
        own = self._to.setdefault((host, port), asyncio.Semaphore(self._per_destination))
        async with own, self._in_all:
            yield
