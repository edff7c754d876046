"""Where objects are before they are renamed: a folder per process, removed with its content after a crash.

A running process holds a lock (flock) on its folder; the kernel releases it however the process ends. A folder whose
lock is free is therefore abandoned, whatever process numbers say, in this container or another one on the same root.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets
import shutil
from pathlib import Path


class TempFolder:
    """This process's folder under ROOT/.temp, held until `close`."""

    def __init__(self, root: Path) -> None:
        """Remove the folders of dead processes, then create and lock our own. Blocks: call it off the event loop."""
        parent = root / ".temp"
        parent.mkdir(0o750, exist_ok=True)
        # Under the guard, so that no process mistakes a folder that is created but not locked yet for abandoned.
        with _Locked(parent):
            _remove_abandoned(parent)
            self.path = parent / secrets.token_hex(8)
            self.path.mkdir(0o750)
            self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._prefix = f"{self.path}/"
        self._numbers = itertools.count()

    def new_name(self) -> str:
        """A path that no other unfinished object has. Safe to call from any thread."""
        return self._prefix + str(next(self._numbers))

    def new_relative_name(self) -> str:
        """The same, relative to the root."""
        return f".temp/{self.path.name}/{next(self._numbers)}"

    @staticmethod
    def create(path: str, flags: int) -> int:
        """A new file at `path`, opened for writing, with additional `flags`."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | flags, 0o640)

    def close(self) -> None:
        """Remove the folder and release its lock."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


class _Locked:
    """Holds the lock of a folder, waiting for it."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.iterdir():
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # a sibling is alive
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(fd)
