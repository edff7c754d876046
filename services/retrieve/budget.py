"""Bytes that may be held in memory at once: one budget for a process, with parts for each association."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gantry.common.errors import DependencyUnavailable
from gantry.common.statuses import UNABLE_TO_PERFORM_SUB_OPERATIONS


class Unavailable(DependencyUnavailable):
    """Converting is not possible now, through no fault of the object: 503 with Retry-After, or A702H."""

    dicom_status = UNABLE_TO_PERFORM_SUB_OPERATIONS

    def __init__(self, reason: str) -> None:
        super().__init__("conversion", reason)


class Budget:
    """Bytes that may be held; bytes taken from a part count against the whole budget too."""

    def __init__(self, limit: int, whole: Budget | None = None) -> None:
        self.limit = limit
        self.taken = 0
        self._whole = whole
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take(self, count: int) -> bool:
        """Take `count` bytes if there is room; whether there was."""
        if self.taken + count > self.limit or (self._whole is not None and not self._whole.take(count)):
            return False
        self.taken += count
        return True

    def take_spare(self, count: int) -> None:
        """Take `count` bytes ahead of their turn. Half of the budget is reserved for requests whose turn it is;
        otherwise two that hold bytes for later would wait for each other. Raises `Unavailable`."""
        if self._waiting or self.taken + count > self.limit // 2 or not self.take(count):
            raise Unavailable(f"no room for {count} bytes ahead of their turn")

    async def wait(self, count: int, patience: float) -> None:
        """Take `count` bytes, in turn, within `patience` seconds. Raises `Unavailable`; the caller releases them."""
        if count > self.limit:
            raise Unavailable(f"{count} bytes are more than the whole budget of {self.limit}")
        if not self._waiting and self.take(count):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        try:
            async with asyncio.timeout(patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give_back(count)
            else:
                self._waiting.remove((count, turn))
                self._admit()
            if isinstance(error, TimeoutError):
                raise Unavailable(f"no room for {count} bytes within {patience:g} s") from None
            raise

    def give_back(self, count: int) -> None:
        """Release `count` bytes."""
        self.taken -= count
        if self._whole is not None:
            self._whole.give_back(count)
        self._admit()

    @asynccontextmanager
    async def holding(self, count: int, patience: float) -> AsyncIterator[None]:
        """`wait`, and release the bytes at the end of the block."""
        await self.wait(count, patience)
        try:
            yield
        finally:
            self.give_back(count)

    def _admit(self) -> None:
        """First come, first served, so that small requests do not overtake a large one for ever."""
        while self._waiting:
            count, turn = self._waiting[0]
            if not turn.done() and not self.take(count):
                return
            self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
