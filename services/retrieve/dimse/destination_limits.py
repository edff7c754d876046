"""How many associations to C-MOVE destinations may be open at once: in all, and to one of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class DestinationLimits:
    """Requests wait for a free lane, first come first served. A slow or dead destination blocks only its own lanes: a
    shared lane is not taken until one of the destination's own is free."""

    def __init__(self, in_all: int = 32, per_destination: int = 4) -> None:
        self._in_all = asyncio.Semaphore(in_all)
        self._per_destination = per_destination
        self._to: dict[tuple[str, int], asyncio.Semaphore] = {}
        self._users: Counter[tuple[str, int]] = Counter()

    def __len__(self) -> int:
        """Destinations to which something is sent, or waits to be."""
        return len(self._to)

    @asynccontextmanager
    async def lane_to(self, host: str, port: int) -> AsyncIterator[None]:
        """A lane to the destination at this address, until the block is left."""
        destination = host, port
        own = self._to.setdefault(destination, asyncio.Semaphore(self._per_destination))
        self._users[destination] += 1
        try:
            async with own, self._in_all:
                yield
        finally:
            # The API adds and removes peers, so nothing is stored for a destination without transfers.
            self._users[destination] -= 1
            if not self._users[destination]:
                del self._users[destination], self._to[destination]
