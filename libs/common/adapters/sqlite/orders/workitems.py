"""Workitems as rows, and back; and by columns, a page at a time."""

from __future__ import annotations

import sqlite3
from typing import Any

from gantry.common.adapters.sqlite.orders.subscriptions import forget_subscriptions, read_recipients, stands_anywhere
from gantry.common.dicom.standard.tags import PATIENT_ID
from gantry.common.orders import first, pack, unpack
from gantry.common.workitems import Workitem, WorkitemQuery, WorkitemState
from gantry.common.workitems.model import WORKLIST_LABEL
from gantry.common.workitems.questions import narrowing_of, start_of
from gantry.common.workitems.subscriptions import GLOBAL

PAGE = 500
"""Rows that are examined in one turn of the database's thread."""
_PAGE_BYTES = 2 << 20
"""Most bytes of packed attributes in a page, not counting its last row: a workitem may name thousands of instances."""
WorkitemPlace = tuple[str, str]
"""Start and UID of the last row of a page; the next page begins after it."""
FIRST: WorkitemPlace = ("", "")
_ROW = "uid, state, attributes, lock, changed_at, created_at, start"


def workitem_at(connection: sqlite3.Connection, partition: str, uid: str) -> Workitem | None:
    """The workitem with a UID."""
    query = f"SELECT {_ROW} FROM workitems WHERE partition = ? AND uid = ?"  # noqa: S608
    row = connection.execute(query, (partition, uid)).fetchone()
    return None if row is None else _workitem(partition, row)


def write_workitem(connection: sqlite3.Connection, workitem: Workitem) -> None:
    """Replace the workitem under its UID."""
    attributes = workitem.attributes
    connection.execute(
        "INSERT OR REPLACE INTO workitems VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(
                workitem.partition,
                workitem.uid,
                start_of(attributes),
                workitem.state.value,
                pack(attributes),
                workitem.lock,
            ),
            *(
                workitem.changed_at,
                workitem.created_at,
                first(attributes, PATIENT_ID),
                first(attributes, WORKLIST_LABEL),
            ),
        ),
    )


def erase_workitem(connection: sqlite3.Connection, partition: str, uid: str) -> None:
    """Drop a workitem: its UID has no effect any more."""
    connection.execute("INSERT OR IGNORE INTO erased_workitems VALUES(?, ?)", (partition, uid))
    connection.execute("DELETE FROM workitems WHERE partition = ? AND uid = ?", (partition, uid))
    forget_subscriptions(connection, partition, uid)


def is_erased_workitem(connection: sqlite3.Connection, partition: str, uid: str) -> bool:
    """Whether a workitem was erased."""
    query = "SELECT 1 FROM erased_workitems WHERE partition = ? AND uid = ?"
    return connection.execute(query, (partition, uid)).fetchone() is not None


def ended_workitems(connection: sqlite3.Connection, partition: str, before_us: int, most: int) -> list[str]:
    """The UIDs of workitems that were completed or cancelled before a time, without a deletion lock, the earliest
    first."""
    uids: list[str] = []
    query = (
        f"SELECT {_ROW} FROM workitems WHERE partition = ? AND state IN ('COMPLETED', 'CANCELED') "  # noqa: S608
        "AND changed_at < ? ORDER BY changed_at, uid"
    )
    for row in connection.execute(query, (partition, before_us)):
        if not any(subscription.lock for subscription in read_recipients(connection, _workitem(partition, row))):
            uids.append(row[0])
        if len(uids) == most:
            break
    return uids


def workitems_after(
    connection: sqlite3.Connection, query: WorkitemQuery, place: WorkitemPlace
) -> tuple[list[Workitem], WorkitemPlace | None]:
    """The workitems of the next rows that the narrowing leaves, and the position after them; None at the end."""
    narrowing = narrowing_of(query)
    where = ["partition = ?", "(start, uid) > (?, ?)", "(start = '' OR (start >= ? AND start <= ?))"]
    values: list[Any] = [query.partition, *place, narrowing.earliest, narrowing.latest]
    for column, choices in narrowing.columns.items():
        where.append(f"{column} IN ({', '.join('?' * len(choices))})")
        values += choices
    # Only column names and question marks are concatenated here.
    sql = f"SELECT {_ROW} FROM workitems WHERE {' AND '.join(where)} ORDER BY start, uid LIMIT ?"  # noqa: S608
    rows, size = [], 0
    for row in connection.execute(sql, [*values, PAGE]):
        rows.append(row)
        size += len(row[2])
        if size >= _PAGE_BYTES:
            break
    is_full = len(rows) == PAGE or size >= _PAGE_BYTES
    behind = (rows[-1][6], rows[-1][0]) if is_full else None
    return [_workitem(query.partition, row) for row in rows], behind


def _workitem(partition: str, row: tuple[Any, ...]) -> Workitem:
    uid, state, attributes, lock, changed_at, created_at, _ = row
    return Workitem(partition, uid, WorkitemState(state), unpack(attributes), lock, changed_at, created_at)


def is_subscribed(connection: sqlite3.Connection, partition: str, subscriber: str, target: str) -> bool:
    """Whether an AE title is subscribed to a workitem, or to any with a well-known UID."""
    if target in GLOBAL:
        return stands_anywhere(connection, partition, subscriber)
    workitem = workitem_at(connection, partition, target)
    return workitem is not None and any(
        subscription.subscriber == subscriber for subscription in read_recipients(connection, workitem)
    )
