"""docs/faults.md names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TEST = re.compile(r"`([\w/]+\.py)(?:::(\w+))?`")
_ROW = re.compile(r"^\| (?!found |---)(.*) \|$", re.MULTILINE)
PAGE = (ROOT / "docs/faults.md").read_text(encoding="utf-8")


@cache
def names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize(("path", "name"), sorted(set(_TEST.findall(PAGE))))
def test_every_test_that_the_page_names_is_there(path: str, name: str) -> None:
    file = ROOT / "tests" / path
    assert file.is_file()
    assert not name or name in names_in(file)


def test_every_row_names_a_test_and_says_what_was_seen() -> None:
    rows = [[cell.strip() for cell in row.split(" | ")] for row in _ROW.findall(PAGE)]
    assert len(rows) > 50
    for found, now, tests, seen in rows:
        assert _TEST.search(tests), found
        assert now
        assert seen
