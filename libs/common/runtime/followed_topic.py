"""A topic that every process follows from its beginning, and folds into a small state for immediate answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, UndecodableEvent
from gantry.common.events import Event, decode
from gantry.common.ports.log import EventLog, Record
from gantry.common.runtime.backoff import Delays
from gantry.common.telemetry.logs import get_logger

_PATIENCE_SECONDS = 10.0


class FollowedTopic:
    """`take` is called with each event, in the order of the log; `subject` is what the events are about, in words."""

    def __init__(
        self,
        log: EventLog,
        topic: str,
        take: Callable[[Event], None],
        clock: Clock,
        subject: str,
        delays: Delays | None = None,
    ) -> None:
        self._log = log
        self._topic = topic
        self._take = take
        self._clock = clock
        self._subject = subject
        self._delays = delays or Delays(longest=5.0)
        self._places: dict[int, int] = {}
        self._read = asyncio.Event()
        self._logger = get_logger(subject)

    async def run(self) -> None:
        """Follow until cancelled."""
        attempt = 0
        while True:
            try:
                for partition in await self._log.ends(self._topic):
                    self._places.setdefault(partition, 0)
                async with aclosing(self._log.follow(self._topic, None, dict(self._places))) as following:
                    async for passed in following:
                        self._take_all(passed.records)
                        self._places.update(passed.ends)
                        attempt = 0
                        read, self._read = self._read, asyncio.Event()
                        read.set()
            except DependencyUnavailable as error:
                self._logger.warning(f"{self._subject} cannot be followed for now", topic=self._topic, error=error)
            await self._clock.sleep(self._delays.after(attempt))
            attempt += 1

    async def caught_up(self) -> None:
        """Wait until all is read that is on the log now. Raises `DependencyUnavailable`."""
        ends = await self._log.ends(self._topic)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while not self._has_read(ends):
                    await self._read.wait()
        except TimeoutError:
            raise DependencyUnavailable("event log", f"{self._subject} cannot be read now") from None

    def _has_read(self, ends: Mapping[int, int]) -> bool:
        return all(self._places.get(partition, 0) >= end for partition, end in ends.items())

    def _take_all(self, records: Sequence[Record]) -> None:
        for record in records:
            try:
                self._take(decode(record.payload))
            except UndecodableEvent as error:
                self._logger.error(
                    "an event cannot be read", topic=self._topic, offset=record.offset, about=self._subject, error=error
                )
