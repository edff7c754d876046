"""Folders in memory for servers that mostly wait for the disk: on a shared disk OpenSearch takes three to five times as
long to create an index, and nearly every test of it creates ten.

Tests lose nothing by this: they kill processes, not machines, so a restarted server finds its data. The folders are on
disk if there is no `/dev/shm`, or too little memory, or if we could not remove the files of a container's user.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_LINK = "memory"
_ROOM = 10 << 30
"""In bytes. All servers of a session together write about one tenth of that."""


def new_folder(session: str) -> Path | None:
    """A new folder that every user may write to, below the session's folder; None if folders are on disk."""
    link = Path(session) / _LINK
    if not link.exists():
        return None
    folder = Path(tempfile.mkdtemp(dir=link.resolve()))
    folder.chmod(0o777)
    return folder


def begin(session: Path) -> None:
    """Called before the first folder is requested."""
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
