"""What both archives are asked once more, or otherwise, beside what passes: a bounded number of tasks."""

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
"""That wait at once, of each kind in a process; beyond it the first look counts."""


async def gather_both(gantry: Awaitable[T], other: Awaitable[T]) -> tuple[T, T]:
    """Both side by side, to their ends. Raises what the first of them raised that did."""
    mine, theirs = await asyncio.gather(gantry, other, return_exceptions=True)
    if isinstance(mine, BaseException):
        raise mine
    if isinstance(theirs, BaseException):
        raise theirs
    return mine, theirs


class Looks:
    """Those of one kind that wait, or are under way."""

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
        """Begin a look, unless too many are under way or there is no room for its question; the look gives the room of
        the question back."""
        if len(self.tasks) >= MOST_LOOKS or not self._room.take(len(question)):
            return False
        task = asyncio.get_running_loop().create_task(look())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return True

    def _rooms(self) -> tuple[Room, Room]:
        """For the answers of either archive. The caller closes them."""
        most = self._settings.memory << 20
        return Room(most, self._room), Room(most, self._room)
