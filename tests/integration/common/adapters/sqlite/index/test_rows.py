"""How SQLite finds a page of rows: along an index or the table, never by sorting all rows for each page."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from gantry.common.adapters.sqlite.index import rows as rows
from gantry.common.adapters.sqlite.index.paths import Path
from gantry.common.adapters.sqlite.index.schema import create
from gantry.common.dicom.query.attributes import STANDARD

EVERYTHING = Path("")
NARROWED = Path("", (), ((("name", "*doe*"), ("sounds", "* sD000 *")),))


@pytest.mark.parametrize(
    ("listed", "path"),
    [
        (rows.patients, EVERYTHING),
        (rows.patients, NARROWED),
        (rows.patients, Path("name", (("a", "b"),))),
        (rows.studies, EVERYTHING),
        (rows.studies, NARROWED),
        (rows.studies, Path("date", (("20240101", "20240131"),))),
        (rows.studies, Path("uid", (("1.2", "1.2"),), NARROWED.like)),
    ],
)
def test_a_page_is_no_sort_of_all_rows(listed: Callable[..., Any], path: Path) -> None:
    connection = sqlite3.connect(":memory:")
    create(connection, STANDARD, lambda _: None)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    listed(connection, "default", path, rows.RowCursor(id=7), 500)
    connection.set_trace_callback(None)
    assert statements
    for statement in statements:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert not any("TEMP B-TREE" in step or step.startswith("SCAN") for step in plan), plan
    connection.close()
