"""Which member of a consumer group is active: the holder of the lock (flock) on the group's file.

The others wait in the kernel, without using the processor. The lock is released however its holder ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path


class Membership:
    """One member's place in one group."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        self._guard = threading.Lock()
        self._left = False
        self._granted = False
        self._waiting: asyncio.Future[None] | None = None
        self.held = False

    async def acquire(self) -> None:
        """Return when this member is the active one. Raises `OSError` if the file system does not support locks."""
        if self.held:
            return
        if self._waiting is None:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._waiting = asyncio.get_running_loop().create_future()
                # A thread of its own, and a daemon: a wait for a lock cannot be interrupted, and may outlast the loop.
                threading.Thread(target=self._wait, args=(self._waiting,), name="gantry-group", daemon=True).start()
            else:
                self.held = True
                return
        await asyncio.shield(self._waiting)
        self.held = True

    def leave(self) -> None:
        """Release the lock: the next member becomes active."""
        with self._guard:
            if self._left:
                return
            self._left = True
            # A thread that still waits for the lock closes the file itself once it has it.
            if self._waiting is None or self._granted:
                os.close(self._fd)
        self.held = False

    def _wait(self, granted: asyncio.Future[None]) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        with self._guard:
            if self._left:
                os.close(self._fd)
                return
            self._granted = True
            with suppress(RuntimeError):  # the loop was closed: no caller waits any more
                granted.get_loop().call_soon_threadsafe(_grant, granted)


def _grant(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
