"""docs/faults.md names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from tests.house.sources import ROOT, tree_of

_TEST = re.compile(r"`([\w/]+\.py)(?:::(\w+))?`")
_ROW = re.compile(r"^\| (?!found |---)(.*) \|$", re.MULTILINE)
PAGE = (ROOT / "docs/faults.md").read_text(encoding="utf-8")


@cache
def names_in(path: Path) -> frozenset[str]:
    nodes = tree_of(path).body
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_test_that_the_page_names_is_there() -> None:
    named = sorted(set(_TEST.findall(PAGE)))
    assert len(named) > 100
    files = {path for path, _ in named if (ROOT / "tests" / path).is_file()}
    missing = [
        (path, name)
        for path, name in named
        if path not in files or (name and name not in names_in(ROOT / "tests" / path))
    ]
    assert missing == []


def test_every_row_names_a_test_and_says_what_was_seen() -> None:
    rows = [[cell.strip() for cell in row.split(" | ")] for row in _ROW.findall(PAGE)]
    assert len(rows) > 50
    for fault, now, tests, seen in rows:
        assert _TEST.search(tests), fault
        assert now
        assert seen
