"""What several processes may do with one database file."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.adapters.sqlite.database import Readers, Writer
from gantry.common.clock import SystemClock
from gantry.common.dicom.query.attributes import STANDARD
from tests.support.entries import entry
from tests.support.facts import stored

_COME_AND_GO = """import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
connection.close()
"""
_COUNT = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone())"


def come_and_go(path: Path) -> None:
    """Another process opens the file and closes it, as every `gantry` command does that looks into an archive."""
    subprocess.run([sys.executable, "-c", _COME_AND_GO, str(path)], check=True, timeout=30)


def rows(path: Path, table: str) -> int:
    """What another process sees."""
    command = [sys.executable, "-c", _COUNT, str(path), f"SELECT count(*) FROM {table}"]
    done = subprocess.run(command, check=True, timeout=30, capture_output=True, text=True)
    return int(done.stdout)


async def test_who_comes_and_goes_leaves_the_wal_of_those_who_stay(tmp_path: Path) -> None:
    """Who closes a database last removes its WAL. Who believes so wrongly removes what was acknowledged."""
    path = tmp_path / "log.db"
    log = await open_sqlite_log(path, SystemClock())
    await log.append(stored(1))
    # Everything that makes a connection in this process.
    _ = [record async for record in log.replay("instances")]
    other = await open_sqlite_log(path, SystemClock())
    await other.append(stored(2))
    await other.close()
    come_and_go(path)
    assert Path(f"{path}-wal").exists()
    await log.append(stored(3))
    assert rows(path, "records_instances") == 3
    await log.close()
    assert rows(path, "records_instances") == 3


async def test_the_same_of_an_index_and_its_successor(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    index = await open_sqlite_index(path)
    await index.apply([entry(1)])
    assert (await index.count("default"))["instances"] == 1
    successor = await index.successor(STANDARD)
    await successor.apply([entry(1), entry(2, "9.2")])
    await successor.take_over()
    await successor.close()
    come_and_go(path)
    assert Path(f"{path}-wal").exists()
    await index.apply([entry(3, "9.3")])
    assert rows(path, "instance") == 3
    await index.close()


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o640])
async def test_a_file_of_before_is_for_owner_and_group_from_now_on(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "index.db"
    sqlite3.connect(path).close()
    path.touch()
    path.chmod(mode)
    index = await open_sqlite_index(path)
    assert path.stat().st_mode & 0o777 == 0o640
    await index.close()


async def test_one_read_sees_one_state_whatever_is_written_between_its_statements(tmp_path: Path) -> None:
    """An index reads which instance is elected, and then that instance: an indexer may move it away meanwhile."""
    writer, readers = Writer(tmp_path / "x.db", "x"), Readers(tmp_path / "x.db", "x", threads=1)
    await writer.run(lambda connection: connection.execute("CREATE TABLE kept (name TEXT)"))
    await writer.run(lambda connection: connection.execute("INSERT INTO kept VALUES ('a')"))
    begun, written = threading.Event(), threading.Event()

    def read(connection: sqlite3.Connection) -> list[list[tuple[str]]]:
        first = connection.execute("SELECT name FROM kept").fetchall()
        begun.set()
        assert written.wait(10)
        return [first, connection.execute("SELECT name FROM kept").fetchall()]

    reading = asyncio.create_task(readers.run(read))
    await asyncio.to_thread(begun.wait, 10)
    await writer.run(lambda connection: connection.execute("DELETE FROM kept"))
    written.set()
    assert await reading == [[("a",)], [("a",)]]
    assert await readers.run(lambda connection: connection.execute("SELECT name FROM kept").fetchall()) == []
    with pytest.raises(ZeroDivisionError):
        await readers.run(lambda _: 1 // 0)
    assert await readers.run(lambda connection: connection.in_transaction), "begun anew after an error"
    readers.close()
    writer.close()
