"""The tables of the embedded log, and all SQL that touches them."""

# ruff: noqa: S608 (table names come from our own table of topics)

from __future__ import annotations

import sqlite3

from gantry.common.events import TOPICS
from gantry.common.ports.log import Record

_TABLES = {topic.name: f"records_{topic.name.replace('-', '_')}" for topic in TOPICS.values()}
_BY_TIME = {topic.name: _TABLES[topic.name] for topic in TOPICS.values() if topic.retention_ms is None}
"""Topics without retention have an index by time, since a starting process reads them from a given time on."""
_INSERT = {topic: f"INSERT INTO {table}(key, appended_at, payload) VALUES(?, ?, ?)" for topic, table in _TABLES.items()}


def require_topic(topic: str) -> None:
    """Raises `ValueError` for a topic that the table of topics does not name."""
    if topic not in _TABLES:
        raise ValueError(f"no such topic: {topic!r}")


def make_tables(connection: sqlite3.Connection) -> None:
    """Create missing tables. AUTOINCREMENT: the offset of a record that retention removed is not used again."""
    for table in _TABLES.values():
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table}(offset INTEGER PRIMARY KEY AUTOINCREMENT, "
            "key TEXT NOT NULL, appended_at INTEGER NOT NULL, payload BLOB NOT NULL)"
        )
    for table in _BY_TIME.values():
        connection.execute(f"CREATE INDEX IF NOT EXISTS {table}_at ON {table}(appended_at)")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS groups(name TEXT, topic TEXT, committed INTEGER NOT NULL, "
        "PRIMARY KEY(name, topic)) WITHOUT ROWID"
    )
    connection.execute("CREATE TABLE IF NOT EXISTS checks(id INTEGER PRIMARY KEY, at INTEGER NOT NULL)")


def insert(connection: sqlite3.Connection, topic: str, key: str, now_us: int, payload: bytes) -> None:
    """Append one record."""
    connection.execute(_INSERT[topic], (key, now_us, payload))


def last_offset(connection: sqlite3.Connection, topic: str) -> int:
    """The offset of the newest record that ever was in a topic, 0 before the first."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (_TABLES[topic],)).fetchone()
    return int(row[0]) if row else 0


def last_before(connection: sqlite3.Connection, topic: str, since_us: int) -> int:
    """The offset after which all records of a topic are that were appended at `since_us` or later."""
    by_time = f"INDEXED BY {_BY_TIME[topic]}_at" if topic in _BY_TIME else ""
    query = f"SELECT min(offset) FROM {_TABLES[topic]} {by_time} WHERE appended_at >= ?"
    (first,) = connection.execute(query, (since_us,)).fetchone()
    return int(first) - 1 if first is not None else last_offset(connection, topic)


def read_after(connection: sqlite3.Connection, topic: str, after: int, end: int, limit: int) -> list[Record]:
    """Records with offsets above `after` up to `end`, in order."""
    rows = connection.execute(
        f"SELECT offset, key, payload, appended_at FROM {_TABLES[topic]} "
        "WHERE offset > ? AND offset <= ? ORDER BY offset LIMIT ?",
        (after, end, limit),
    )
    return [Record(topic, 0, offset, key, payload, at) for offset, key, payload, at in rows]


def join(connection: sqlite3.Connection, group: str, topic: str) -> None:
    """Make a group known; a new one begins with the oldest record that is retained."""
    (oldest,) = connection.execute(f"SELECT min(offset) FROM {_TABLES[topic]}").fetchone()
    start = oldest - 1 if oldest is not None else last_offset(connection, topic)
    connection.execute("INSERT OR IGNORE INTO groups(name, topic, committed) VALUES(?, ?, ?)", (group, topic, start))


def committed(connection: sqlite3.Connection, group: str) -> dict[str, int]:
    """For each topic that a group has joined, the last offset that it has committed."""
    return dict(connection.execute("SELECT topic, committed FROM groups WHERE name = ?", (group,)))


def committed_of(connection: sqlite3.Connection, group: str, topic: str) -> int | None:
    """The last offset that a group has committed; None if it has not joined the topic."""
    return committed(connection, group).get(topic)


def of_key_after(connection: sqlite3.Connection, topic: str, key: str, after: int, most: int) -> list[Record] | None:
    """Records with a key and offsets above `after`, in order; None if there are more than `most`."""
    rows = connection.execute(
        f"SELECT offset, key, payload, appended_at FROM {_TABLES[topic]} WHERE offset > ? AND key = ?"
        " ORDER BY offset LIMIT ?",
        (after, key, most + 1),
    ).fetchall()
    return None if len(rows) > most else [Record(topic, 0, offset, k, payload, at) for offset, k, payload, at in rows]


def last_up_to(connection: sqlite3.Connection, topic: str, end: int, most: int) -> list[Record]:
    """The last records with offsets up to `end`, the newest first."""
    rows = connection.execute(
        f"SELECT offset, key, payload, appended_at FROM {_TABLES[topic]}"
        " WHERE offset <= ? ORDER BY offset DESC LIMIT ?",
        (end, most),
    )
    return [Record(topic, 0, offset, key, payload, at) for offset, key, payload, at in rows]


def commit(connection: sqlite3.Connection, group: str, topic: str, offset: int) -> None:
    """Commit a group's offset in a topic; a commit never goes back."""
    connection.execute(
        "UPDATE groups SET committed = max(committed, ?) WHERE name = ? AND topic = ?", (offset, group, topic)
    )


def remove_before(connection: sqlite3.Connection, topic: str, before: int, limit: int) -> int:
    """Remove at most `limit` of the oldest records that were appended before `before` (microseconds since the epoch)
    and are committed by every group that has joined the topic. Returns how many."""
    (done,) = connection.execute("SELECT min(committed) FROM groups WHERE topic = ?", (topic,)).fetchone()
    rows = connection.execute(
        f"SELECT offset, appended_at FROM {_TABLES[topic]} WHERE offset <= ? ORDER BY offset LIMIT ?",
        (last_offset(connection, topic) if done is None else done, limit),
    )
    last = 0
    # From the beginning up to the first young one: the clock may have been set back in between.
    for offset, appended_at in rows:
        if appended_at >= before:
            break
        last = offset
    return connection.execute(f"DELETE FROM {_TABLES[topic]} WHERE offset <= ?", (last,)).rowcount
