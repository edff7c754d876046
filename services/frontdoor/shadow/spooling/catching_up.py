"""Sends what waits in the spool, one line after the other, with growing pauses while the archive is away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

from gantry.common.clock import Clock
from gantry.common.runtime.backoff import Delays
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.rate_limited import RateLimited
from gantry.services.frontdoor.shadow.recording import Recorder
from gantry.services.frontdoor.shadow.spooling.spool import Line, ShadowSpool

logger = get_logger("shadow")
MOST_TRIES = 10
"""Attempts for an object or a line that a reachable archive refuses."""
DELAYS = Delays(first=1.0, longest=60.0)
_LOOK_SECONDS = 5.0


class Away(Exception):
    """The line is to be tried again later; with `everywhere`, all lines."""

    def __init__(self, words: str, *, everywhere: bool, reason: str = "") -> None:
        """`reason` is the one that is counted if there is no further try."""
        super().__init__(words)
        self.everywhere = everywhere
        self.reason = reason


class LineSender(Protocol):
    """Sends lines of one kind."""

    async def send(self, line: Line) -> None:
        """Send some objects of the line, in order, and drop them from it. Raises `Away`."""


class CatchingUp:
    """Sends the spool; each kind of line has its own `run` task."""

    def __init__(
        self, spool: ShadowSpool, kind: str, sender: LineSender, recorder: Recorder, clock: Clock, delays: Delays
    ) -> None:
        self._spool = spool
        self._kind = kind
        self._sender = sender
        self._recorder = recorder
        self._clock = clock
        self._delays = delays
        self._seldom = RateLimited()

    async def run(self) -> None:
        """Send what waits, for ever."""
        failures = 0
        task = asyncio.current_task()
        assert task is not None
        while not task.cancelling():  # the end of an association may have swallowed it (`common.tasks`)
            news = self._spool.news[self._kind]
            news.clear()
            line = self._spool.next(self._kind, self._clock.monotonic())
            if line is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(_LOOK_SECONDS, self._delays.longest)):
                        await news.wait()
                continue
            try:
                await self._sender.send(line)
                failures = 0
            except Away as away:
                wait = self._delays.after(failures if away.everywhere else line.failures)
                if self._seldom.times((self._kind, str(away)), self._clock.monotonic()):
                    logger.info("the spool waits", why=str(away), objects=self._spool.objects, seconds=round(wait, 1))
                if away.everywhere:
                    failures += 1
                    # Try another line next: the archive may refuse only this one.
                    self._spool.put_off(line, self._clock.monotonic() + wait)
                    await self._clock.sleep(wait)
                else:
                    line.failures += 1
                    self._spool.put_off(line, self._clock.monotonic() + wait)
            except Exception as error:
                # One line of the spool must not stop the others.
                logger.error("shadow failed", error=error)
                for entry in [entry for entry in line.entries.values() if entry.is_ready][:1]:
                    entry.drop("fault")
                    self._recorder.given_up("fault", line.about.calling)
