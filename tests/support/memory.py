"""Folders in memory for servers that wait for a disk most of their time: with its data on a disk that others use too,
OpenSearch takes three to five times as long to make an index, and nearly every test of it makes ten.

Nothing is lost by it that tests are about. They kill processes, not machines: a server that is started again finds what
it wrote. They are on a disk where there is no `/dev/shm`, or too little memory, or where we could not remove what a
container's user leaves behind.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_LINK = "memory"
_ROOM = 10 << 30
"""Bytes. A session's servers together write about one tenth of that."""


def new_folder(session: str) -> Path | None:
    """A new folder, which everybody may write to, below the session's; None if they are on a disk."""
    link = Path(session) / _LINK
    if not link.exists():
        return None
    folder = Path(tempfile.mkdtemp(dir=link.resolve()))
    folder.chmod(0o777)
    return folder


def begin(session: Path) -> None:
    """Called before anybody asks for a folder."""
    if os.getuid() == 0 and _MEMORY.is_dir() and min(shutil.disk_usage(_MEMORY).free, _available()) >= _ROOM:
        (session / _LINK).symlink_to(tempfile.mkdtemp(prefix=f"{session.name}-", dir=_MEMORY))


def end(session: Path) -> None:
    """Remove all folders of a session whose servers have ended."""
    link = session / _LINK
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)


def _available() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
