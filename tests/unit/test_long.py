"""What `make test` leaves out is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.support.long import LONG

TESTS = Path(__file__).parents[1]


@cache
def _functions(file: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("entry", sorted(LONG))
def test_an_entry_names_a_test(entry: str) -> None:
    path, _, name = entry.partition("::")
    files = [TESTS / path] if path.endswith(".py") else [*(TESTS / path).parent.glob(f"{Path(path).name}*.py")]
    assert files
    tests = [node for file in files for node in _functions(file) if node.name.startswith(name or "test_")]
    assert tests
    # The second topology of a test that runs on one alone is nothing that could be left out.
    alone = [ast.unparse(decorator) for test in tests for decorator in test.decorator_list]
    if LONG[entry] == ["cluster"] and len(tests) == 1:
        assert not [one for one in alone if one == "embedded" or "['embedded']" in one]
