"""Further queries to both archives, beside the mirrored requests: a bounded number of tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from gantry.common.clock import Clock
from gantry.common.config.shadow_sections import ShadowSettings
from gantry.services.frontdoor.shadow.asking import ComparedArchive
from gantry.services.frontdoor.shadow.overhearing import Room
from gantry.services.frontdoor.shadow.recording import Recorder

T = TypeVar("T")
MOST_LOOKS = 256
"""Most that wait at once, of each kind in a process; beyond it the first answers count."""


async def gather_both(gantry: Awaitable[T], other: Awaitable[T]) -> tuple[T, T]:
    """Run both at the same time until both have ended. Raises the exception of the first that failed."""
    mine, theirs = await asyncio.gather(gantry, other, return_exceptions=True)
    if isinstance(mine, BaseException):
        raise mine
    if isinstance(theirs, BaseException):
        raise theirs
    return mine, theirs


class Looks:
    """The looks of one kind that wait or are in progress."""

    def __init__(
        self,
        gantry: ComparedArchive,
        other: ComparedArchive,
        settings: ShadowSettings,
        room: Room,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._gantry = gantry
        self._other = other
        self._settings = settings
        self._room = room
        self._recorder = recorder
        self._clock = clock
        self.tasks: set[asyncio.Task[None]] = set()

    def _begin(self, question: bytes, look: Callable[[], Coroutine[None, None, None]]) -> bool:
        """Begin a look. Returns False if too many are in progress or there is no room for its query; the look releases
        that room."""
        if len(self.tasks) >= MOST_LOOKS or not self._room.take(len(question)):
            return False
        task = asyncio.get_running_loop().create_task(look())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return True

    def _rooms(self) -> tuple[Room, Room]:
        """The rooms for the answers of both archives. The caller closes them."""
        most = self._settings.memory << 20
        return Room(most, self._room), Room(most, self._room)
