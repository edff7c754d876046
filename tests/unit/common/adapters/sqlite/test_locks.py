"""A connection more in this process leaves the locks of those before it alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from libs.common.adapters.sqlite.database import connect

# What only a process can do that is alone with the database.
ALONE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0.2, isolation_level=None)
try:
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    print("alone")
except sqlite3.OperationalError as error:
    print(error)
"""


def test_another_connection_of_this_process_does_not_give_up_the_lock_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    first = connect(path)
    first.execute("CREATE TABLE t(x)")
    first.execute("BEGIN IMMEDIATE")
    second = connect(path)  # and its file is looked at
    done = subprocess.run([sys.executable, "-c", ALONE, str(path)], capture_output=True, text=True, check=True)
    first.execute("COMMIT")
    second.close()
    first.close()
    assert done.stdout == "database is locked\n"


def test_a_database_that_somebody_reads_is_not_taken_for_abandoned(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    first = connect(path)
    first.execute("CREATE TABLE t(x)")
    first.execute("INSERT INTO t VALUES (1)")
    connect(path).close()
    again = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM t').fetchall(); c.close()"
    subprocess.run([sys.executable, "-c", again, str(path)], check=True)
    # The last one to close a database removes its WAL: the other process must not have been that.
    assert Path(f"{path}-wal").exists()
    assert first.execute("SELECT count(*) FROM t").fetchone() == (1,)
    first.close()
