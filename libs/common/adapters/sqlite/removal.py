"""Removes a database: its file, and the files beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

_FILES = ("", "-wal", "-shm", "-journal", ".lock")
_FOLDERS = (".groups", ".wake")
"""Folders beside a log: the places of group members, and pipes that wake readers."""


def remove_database(path: Path) -> int:
    """Remove the file of a database, with the files of SQLite and ours beside it. Returns 1 if there was one."""
    was_there = path.exists()
    for suffix in _FILES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    for suffix in _FOLDERS:
        shutil.rmtree(path.with_name(path.name + suffix), ignore_errors=True)
    return int(was_there)
