"""An index whose file is damaged in places: what was found once is remembered by readiness."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query
from gantry.common.errors import DependencyUnavailable
from tests.support.entries import entry


def damage(path: Path, table: str) -> None:
    """Overwrite the first page of a table."""
    connection = sqlite3.connect(path)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


async def test_a_damaged_table_is_remembered_though_others_answer(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    index = await open_sqlite_index(path)
    await index.apply([entry(n, f"1.9.{n}") for n in range(300)])
    await index.close()
    damage(path, "instance")
    index = await open_sqlite_index(path)
    await index.check()
    with pytest.raises(DependencyUnavailable, match="malformed"):
        _ = [page async for page in index.find(Query("default", Level.IMAGE))]
    for _ in range(2):
        assert [page async for page in index.find(Query("default", Level.PATIENT))]
        with pytest.raises(DependencyUnavailable, match=r"index.db is damaged .* filled again"):
            await index.check()
    await index.close()


async def test_a_file_that_is_none_of_ours_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    path.write_bytes(b"junk" * 4096)
    with pytest.raises(DependencyUnavailable):
        await open_sqlite_index(path)
