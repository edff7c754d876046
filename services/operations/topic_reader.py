"""A topic read step by step: this process reads each record once, however often it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gantry.common.clock import Clock
from gantry.common.errors import UndecodableEvent
from gantry.common.events import Event, decode
from gantry.common.ports.log import EventLog


class TopicReader:
    """Reads what was appended since the last call; at first what is not older than `seconds`."""

    def __init__(self, log: EventLog, topic: str, clock: Clock, seconds: float, take: Callable[[Event], None]) -> None:
        self._log = log
        self._topic = topic
        self._clock = clock
        self._seconds = seconds
        self._take = take
        self._since: int | None = None
        self._ends: dict[int, int] = {}
        self._turn = asyncio.Lock()

    async def read(self) -> None:
        """Read what is new. After a cancellation, the next call continues. Raises `DependencyUnavailable`."""
        async with self._turn:
            since = self._since if self._since is not None else self._clock.now_us() - int(self._seconds * 1e6)
            newest = since
            async for record in self._log.replay(self._topic, since):
                if record.offset < self._ends.get(record.partition, 0):
                    continue
                self._ends[record.partition] = record.offset + 1
                newest = max(newest, record.appended_at)
                try:
                    self._take(decode(record.payload))
                except UndecodableEvent:
                    continue  # of a newer release
            self._since = newest
