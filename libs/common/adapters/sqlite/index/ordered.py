"""Studies in the order that a query asks for, page by page (keyset).

There are three ways. If the next rows in the order hold a page, or many studies fit, the index of the first attribute
is walked, from the end of the last page, and rows that the conditions exclude are skipped. Otherwise the few that fit
are sorted for each page: they are found along the path that narrows, or by a scan of all rows in their stored order,
which costs a tenth of a scan in another order.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gantry.common.adapters.sqlite.index.paths import Path
from gantry.common.adapters.sqlite.index.rows import Row, like_of, studies_by_id
from gantry.common.adapters.sqlite.index.schema import ORDERED
from gantry.common.dicom.query import dates
from gantry.common.dicom.query.matching import Cursor, Query, Range, narrowing
from gantry.common.dicom.query.ordering import signature
from gantry.common.dicom.standard.tags import STUDY_DATE, STUDY_TIME
from gantry.common.errors import NotUnderstood

FEW = 20_000
"""Most studies that are sorted for each page rather than walked by an index."""
NEXT = 2_000
"""Studies in the order that are examined for a page, before all that fit are searched. This takes 4 ms."""
_INDEXED = [(STUDY_DATE, STUDY_TIME), *((tag,) for tag in ORDERED)]
"""The orders with an index of their own, apart from the UID at its end."""
_MOST_INTERVALS = 20
"""Most intervals of a path that is checked row by row, not walked."""
ON_PATH = (
    "json_each(?) AS asked CROSS JOIN study AS s ON s.partition = ?"
    " AND s.{0} BETWEEN json_extract(asked.value, '$[0]') AND json_extract(asked.value, '$[1]')"
)
"""The studies on a path, each once: its intervals do not overlap."""

_Clause = tuple[str, list[Any]]
Page = tuple[list[Row], Cursor | None]
"""Rows, and where the next page begins; None at the end."""


class Way(Enum):
    """How studies in an order are found."""

    ALONG_THE_PATH = "path"
    OF_A_LIST = "list"
    BY_THE_ORDER = "order"


@dataclass(frozen=True, slots=True)
class OrderedWalk:
    """The studies on `path`, in the order of `query`; those with `ids`, if the way is a list."""

    query: Query
    path: Path
    way: Way
    ids: str = ""
    """JSON."""

    @property
    def keys(self) -> list[tuple[str, bool]]:
        """The sort columns, and whether each is descending; the UID last."""
        keys = [(f"s.{ORDERED[key.tag]}", key.descending) for key in self.query.order]
        return [*keys, ("s.uid", keys[-1][1])]


def check(query: Query, after: Cursor) -> None:
    """Raises `NotUnderstood` for an order that studies do not have, and for a position that is not in it."""
    if any(key.tag not in ORDERED for key in query.order):
        raise NotUnderstood("not an order of studies")
    if after and (len(after) != len(query.order) + 2 or after[0] != signature(query.order)):
        raise NotUnderstood("the cursor is not of this listing")
    if any(isinstance(value, int) and abs(value) >= 1 << 62 for value in after):
        raise NotUnderstood("the cursor is not of this listing")


def walk_of(connection: sqlite3.Connection, query: Query, path: Path, after: Cursor = ()) -> OrderedWalk:
    """The walk to the studies after a position that is probably the shortest."""
    by_the_order = OrderedWalk(query, path, Way.BY_THE_ORDER)
    along = OrderedWalk(query, path, Way.ALONG_THE_PATH)
    known = len(_first_ids(connection, [source_of(along)])) if path.column else 0
    if path.column and known <= NEXT:
        return along
    if (path.column or path.like) and _is_near(connection, by_the_order, after):
        return by_the_order
    if path.column and known <= FEW:
        return along
    if path.like:
        through_all = ("study AS s WHERE +s.partition = ?", [query.partition])
        ids = _first_ids(connection, [through_all, _within(path), like_of("s", path)])
        if len(ids) <= FEW:
            return OrderedWalk(query, path, Way.OF_A_LIST, json.dumps(ids))
    return by_the_order


def _is_near(connection: sqlite3.Connection, walk: OrderedWalk, after: Cursor) -> bool:
    """Whether the next studies in the order include enough matches."""
    query, path = walk.query, walk.path
    if query.limit is None or len(path.intervals) > _MOST_INTERVALS:
        return False
    if tuple(key.tag for key in query.order) not in _INDEXED or len({key.descending for key in query.order}) > 1:
        return False
    columns = dict.fromkeys([*filter(None, [path.column]), *(column for each in path.like for column, _ in each)])
    source, behind = _order_of(walk), _behind(walk.keys, after[1:])
    following = [source, _from(walk), behind]
    within = [_within(path), like_of("s", path)]
    sql = (
        f"SELECT count(*) FROM (SELECT {', '.join([f's.{column}' for column in columns])}"  # noqa: S608 - names of ours
        f" FROM {''.join([text for text, _ in following])} ORDER BY {sorting(walk)} LIMIT {NEXT}) AS s"
        f" WHERE 1{''.join([text for text, _ in within])}"
    )
    values = [value for _, arguments in (*following, *within) for value in arguments]
    return bool(connection.execute(sql, values).fetchone()[0] >= query.limit)


def _first_ids(connection: sqlite3.Connection, clauses: Sequence[_Clause]) -> list[int]:
    """The ids of a few studies, and of one more if there are more."""
    values = [value for _, arguments in clauses for value in arguments]
    sql = f"SELECT s.id FROM {''.join([text for text, _ in clauses])} LIMIT {FEW + 1}"  # noqa: S608 - names of ours
    return [row[0] for row in connection.execute(sql, values)]


def studies(connection: sqlite3.Connection, walk: OrderedWalk, after: Cursor, limit: int) -> Page:
    """Up to `limit` studies after a position; some of them may not match."""
    columns = [column for column, _ in walk.keys]
    clauses = [source_of(walk), like_of("s", walk.path), _from(walk), _behind(walk.keys, after[1:])]
    source = "".join([text for text, _ in clauses])
    sql = f"SELECT s.id, {', '.join(columns)} FROM {source} ORDER BY {sorting(walk)} LIMIT ?"  # noqa: S608
    values = [value for _, arguments in clauses for value in arguments]
    keys = connection.execute(sql, (*values, limit)).fetchall()
    rows = studies_by_id(connection, [row[0] for row in keys])
    word = signature(walk.query.order)
    page = [Row(row[0], rows[row[0]], (word, *row[1:])) for row in keys if row[0] in rows]
    return page, (word, *keys[-1][1:]) if len(keys) == limit else None


def sorting(walk: OrderedWalk) -> str:
    """The sort clause of a walk."""
    return ", ".join([f"{column} {'DESC' if down else 'ASC'}" for column, down in walk.keys])


def source_of(walk: OrderedWalk) -> _Clause:
    """The FROM clause for the studies on a walk, to which conditions can be added; and its values."""
    partition, path = walk.query.partition, walk.path
    if walk.way is Way.ALONG_THE_PATH:
        return f"{ON_PATH.format(path.column)} WHERE 1", [json.dumps(path.intervals), partition]
    if walk.way is Way.OF_A_LIST:
        listed = "json_each(?) AS asked CROSS JOIN study AS s ON s.id = asked.value WHERE s.partition = ?"
        return listed, [walk.ids, partition]
    order, within = _order_of(walk), _within(path)
    return order[0] + within[0], order[1] + within[1]


def _order_of(walk: OrderedWalk) -> _Clause:
    """All studies, by the index of the order."""
    index = f"study_order_{ORDERED[walk.query.order[0].tag]}"
    return f"study AS s INDEXED BY {index} WHERE s.partition = ?", [walk.query.partition]


def _within(path: Path) -> _Clause:
    """The intervals of a path, for rows that are checked one by one."""
    if not path.column or len(path.intervals) > _MOST_INTERVALS:
        return "", []
    within = " OR ".join([f"+s.{path.column} BETWEEN ? AND ?" for _ in path.intervals])
    return f" AND ({within or '0'})", [end for ends in path.intervals for end in ends]


def _from(walk: OrderedWalk) -> _Clause:
    """Newest first within a range of dates begins at its end; dates that cannot be compared come last."""
    first = walk.query.order[0]
    condition = narrowing(walk.query).get(STUDY_DATE)
    if not (first.tag == STUDY_DATE and first.descending and isinstance(condition, Range) and condition.last):
        return "", []
    last = dates.date(condition.last)
    return ("", []) if last is None else (" AND s.by_date <= ?", [last])


def _behind(keys: Sequence[tuple[str, bool]], values: Sequence[Any]) -> _Clause:
    """The condition for rows after these values of the keys."""
    if not values:
        return "", []
    if len({down for _, down in keys}) == 1:
        names = ", ".join([column for column, _ in keys])
        sign = "<" if keys[0][1] else ">"
        return f" AND ({names}) {sign} ({', '.join('?' * len(values))})", list(values)
    text = ""
    parts: list[Any] = []
    for (column, down), value in zip(reversed(keys), reversed(values), strict=True):
        beyond = f"{column} {'<' if down else '>'} ?"
        text, parts = (
            (f"({beyond} OR ({column} = ? AND {text}))", [value, value, *parts]) if text else (beyond, [value])
        )
    # The first key again, so that its index is entered at the end of the last page.
    return f" AND {keys[0][0]} {'<=' if keys[0][1] else '>='} ? AND {text}", [values[0], *parts]
