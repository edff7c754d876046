"""Files that are read again when they change: edited in place, or replaced."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from gantry.common.clock import Clock

LOOK_EVERY_SECONDS = 2.0

Mark = tuple[int, int, int] | None


class WatchedFiles:
    """Detects changes to files."""

    def __init__(self, files: Sequence[Path | None]) -> None:
        self._files = [file for file in files if file is not None]
        self._seen = self._marks()

    def have_changed(self) -> bool:
        """Whether a file has changed since the last call, or since the beginning."""
        before, self._seen = self._seen, self._marks()
        return before != self._seen

    async def watch(self, clock: Clock, look: Callable[[], None]) -> None:
        """Call `look` every two seconds, for ever; returns at once if there are no files."""
        while self._files:
            await clock.sleep(LOOK_EVERY_SECONDS)
            look()

    def _marks(self) -> list[Mark]:
        return [_mark(file) for file in self._files]


def _mark(file: Path) -> Mark:
    """What identifies a version of a file; None while it does not exist."""
    try:
        stat = os.stat(file)
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
