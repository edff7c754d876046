"""A search index that was built beside the live one replaces it: one transaction, visible to every process at once."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gantry.common.adapters.sqlite.database import connect, translating

_TABLES = (
    "patient",
    "study",
    "series",
    "instance",
    "receipt",
    "attribute",
    "fate",
    "hold",
    "correction",
    "access",
    "place",
)


def successor_of(path: Path) -> Path:
    """The file of the index that is built beside the one in `path`."""
    return path.with_name(f"{path.name}.next")


def take_over(path: Path, dependency: str) -> None:
    """Replace the content of `path` with that of its successor, and remove the successor (blocks; it must be closed).
    Readers see the old content until it is done; writers wait."""
    successor = successor_of(path)
    with translating(dependency):
        connection = connect(path, busy_seconds=60.0)
        turn = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            connection.execute("ATTACH DATABASE ? AS next", (str(successor),))
            fcntl.flock(turn, fcntl.LOCK_EX)
            connection.execute("BEGIN IMMEDIATE")
            for table in _TABLES:
                connection.execute(f"DELETE FROM main.{table}")  # noqa: S608 - names of ours
                connection.execute(f"INSERT INTO main.{table} SELECT * FROM next.{table}")  # noqa: S608
            connection.execute("COMMIT")
        finally:
            connection.close()  # rolls back what was not committed
            os.close(turn)
    remove(path)


def remove(path: Path) -> None:
    """Remove any successor of `path`."""
    successor = successor_of(path)
    for suffix in ("", "-wal", "-shm", ".lock"):
        successor.with_name(successor.name + suffix).unlink(missing_ok=True)
