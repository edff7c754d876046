"""A database that is removed leaves nothing of its own, and takes nothing of another."""

from __future__ import annotations

from pathlib import Path

from gantry.common.adapters.sqlite.removal import remove_database


def test_what_lies_beside_a_database_goes_with_it_and_nothing_else(tmp_path: Path) -> None:
    for name in ("log.db", "log.db-wal", "log.db-shm", "log.db.lock", "log.db.groups/indexer", "log.db.wake/pipe"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("of it")
    for name in ("log.db2", "index.db", "objects/log.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("not of it")
    assert remove_database(tmp_path / "log.db") == 1
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["index.db", "log.db2", "objects/log.db"]


def test_one_that_is_gone_is_satisfied(tmp_path: Path) -> None:
    assert remove_database(tmp_path / "log.db") == 0
