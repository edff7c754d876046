"""The same machine for every contestant, as far as that can be had.

What one contestant leaves in the page cache would be written back while the next one is measured; and ext4 passes over
every inode that was deleted in the last minutes when it makes one (measured here: 0.6 ms of processor time for each
new file instead of 0.06). In a virtual machine that gives free memory back to its host, the first touch of a page
costs 7 us instead of 0.3 (measured here: 1 ms for a CT that goes through the page cache). So nothing is deleted before
a run has ended, and each clock starts with nothing left to write and with memory that was touched.
"""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TOUCHED = 3 << 29


def settle() -> None:
    """Nothing is left to be written back, and 1.6 GB of free memory are really there. Called before each clock."""
    os.sync()
    with mmap.mmap(-1, _TOUCHED, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_POPULATE", 0)):
        pass


def forget() -> None:
    """Nothing is in the page cache, deleted inodes among it. Only root can; others measure what is there."""
    os.sync()
    with suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("3")
    settle()


def remove(folder: Path) -> None:
    """A run has ended: its files go, and what the file system remembers of them."""
    shutil.rmtree(folder, ignore_errors=True)
    forget()


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many processes that compute all the time, at the usual priority."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
