"""Scheduled steps by columns, a page at a time."""

from __future__ import annotations

import sqlite3
from typing import Any

from gantry.common.orders import StepState, unpack
from gantry.common.orders.questions import ListedStep, OrderNarrowing, StepQuery

PAGE = 500
"""Rows that are examined in one turn of the database's thread."""
Place = tuple[str, str, str]
"""Start, order and step of the last row of a page; the next page begins after it."""
START: Place = ("", "", "")

_ROW = "s.start, s.key, s.step, o.attributes, s.attributes, s.state"
_SELECTIVE = frozenset(("patient", "accession", "procedure", "study"))
"""Columns of which few rows have one value."""
_SHORTEST = 2
"""Prefixes shorter than this are not selective."""
_NAMED = (
    "s.rowid IN (SELECT rowid FROM steps WHERE partition = ? AND name = '' "
    "UNION ALL SELECT rowid FROM steps WHERE partition = ? AND name >= ? AND name < ?)"
)
"""SQLite scans all rows for an OR of the two."""
_JOIN = "JOIN orders o ON o.partition = s.partition AND o.key = s.key"


def steps_after(
    connection: sqlite3.Connection, query: StepQuery, narrowing: OrderNarrowing, place: Place
) -> tuple[list[ListedStep], Place | None]:
    """The steps of the next rows that the narrowing leaves, and the position after them; None at the end. Stale steps,
    and those of other states, are left out."""
    sql, values = _statement(query, narrowing, place)
    rows = connection.execute(sql, values).fetchall()
    listed = [
        ListedStep(key, unpack(attributes), unpack(step), StepState(state))
        for start, key, _, attributes, step, state in rows
        if not query.is_stale(StepState(state), start)
    ]
    return listed, (rows[-1][0], rows[-1][1], rows[-1][2]) if len(rows) == PAGE else None


def _statement(query: StepQuery, narrowing: OrderNarrowing, place: Place) -> tuple[str, list[Any]]:
    # A plus prevents SQLite from scanning all rows in the order of their start, if another index finds a few.
    start = "+s.start" if len(narrowing.name) > _SHORTEST or _SELECTIVE & narrowing.columns.keys() else "s.start"
    partition = "+s.partition" if narrowing.name else "s.partition"
    where, values = [f"{partition} = ?"], [query.partition]
    table = "steps s"
    if narrowing.stations:
        # Of several titles each step is listed once: the column of the sort order leads the index of each title.
        table = "(SELECT DISTINCT partition, start, key, step FROM stations WHERE partition = ? AND station IN "
        table += f"({_marks(len(narrowing.stations))}) AND start >= ? AND start <= ?) f JOIN steps s "
        table += "ON s.partition = f.partition AND s.key = f.key AND s.step = f.step"
        values = [query.partition, *narrowing.stations, narrowing.earliest, narrowing.latest, query.partition]
    where += [f"{start} >= ?", f"{start} <= ?", f"({start}, s.key, s.step) > (?, ?, ?)"]
    values += [max(narrowing.earliest, place[0]), narrowing.latest, *place]
    for column, choices in narrowing.columns.items():
        where.append(f"s.{column} IN ({_marks(len(choices))})")
        values += choices
    if narrowing.name:
        where.append(_NAMED)
        values += [query.partition, query.partition, narrowing.name, f"{narrowing.name}\U0010ffff"]
    if len(query.states) < len(StepState):
        where.append(f"s.state IN ({_marks(len(query.states))})")
        values += sorted(state.value for state in query.states)
    if not query.orders:
        where.append("s.step <> ''")
    # Only column names and question marks are concatenated here.
    ordered = f"ORDER BY {start}, s.key, s.step LIMIT ?"
    return f"SELECT {_ROW} FROM {table} {_JOIN} WHERE {' AND '.join(where)} {ordered}", [*values, PAGE]  # noqa: S608


def _marks(count: int) -> str:
    return ", ".join("?" * count)
