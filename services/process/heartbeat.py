"""Each process reports its state on the log every few seconds (`ProcessReported`), so that any process can show all.

A cluster has several processes of a role, behind a front door or a Service that chooses one of them: the state of one
process is not the state of the archive. Reports go to a topic of their own, which is retained for a day.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gantry.common.clock import Clock
from gantry.common.errors import GantryError
from gantry.common.events import ProcessReported, StoreSpace
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.log import EventLog
from gantry.services.roles import Role

_MOST_PROBLEMS = 10
_LONGEST_PROBLEM = 200
_START_SECONDS = 60.0
_AGAIN_SECONDS = 1.0
"""Seconds between reports while a process starts, so that its reports soon show that it is ready."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """The sources of a process's report."""

    problems: Callable[[], Awaitable[list[str]]]
    associations: Callable[[], int]
    transfers: Callable[[], int]
    folders: Mapping[str, Path]
    """The folders of embedded stores."""


class Heartbeat:
    """The reports of this process. While the log is away there are none, and the process counts as silent."""

    def __init__(self, log: EventLog, clock: Clock, roles: frozenset[Role], version: str, vitals: Vitals) -> None:
        self._log = log
        self._clock = clock
        self._roles = tuple(sorted(roles))
        self._version = version
        self._vitals = vitals
        self._host = socket.gethostname()[:64]
        self._name = f"{self._host}:{os.getpid()}"
        self._started = clock.now_us()

    async def run(self, every: float) -> None:
        """Report at once and then every `every` seconds, for ever."""
        begun = self._clock.monotonic()
        while True:
            ready = await self._report(ended=False)
            starts = not ready and self._clock.monotonic() - begun < _START_SECONDS
            await self._clock.sleep(min(every, _AGAIN_SECONDS) if starts else every)

    async def end(self) -> None:
        """Report that this process ends in order."""
        await self._report(ended=True)

    async def _report(self, *, ended: bool) -> bool:
        """Append a report; returns whether this process is ready."""
        problems = [] if ended else await self._vitals.problems()
        report = ProcessReported(
            DEFAULT_PARTITION,
            "",
            self._name,
            self._host,
            self._roles,
            self._version,
            self._started,
            self._clock.now_us(),
            tuple(problem[:_LONGEST_PROBLEM] for problem in problems[:_MOST_PROBLEMS]),
            self._vitals.associations(),
            self._vitals.transfers(),
            await asyncio.to_thread(_spaces, self._vitals.folders),
            ended,
        )
        with suppress(GantryError):
            await self._log.append(report)
        return not problems


def _spaces(folders: Mapping[str, Path]) -> tuple[StoreSpace, ...]:
    """The free space of the folders. May block for as long as a file system does."""
    spaces = []
    for store, folder in folders.items():
        with suppress(OSError):
            stats = os.statvfs(folder)
            spaces.append(StoreSpace(store, stats.f_bavail * stats.f_frsize, stats.f_blocks * stats.f_frsize))
    return tuple(spaces)
