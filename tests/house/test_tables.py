"""The tables by which a run leaves tests to another one name tests that there are."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests.house.sources import ROOT, tree_of
from tests.support.first import FIRST
from tests.support.long import LONG

TESTS = ROOT / "tests"


@cache
def _functions(file: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree_of(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _tests_of(entry: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    path, _, name = entry.partition("::")
    files = [TESTS / path] if path.endswith(".py") else [*(TESTS / path).parent.glob(f"{Path(path).name}*.py")]
    assert files, entry
    tests = [node for file in files for node in _functions(file) if node.name.startswith(name or "test_")]
    assert tests, entry
    return tests


def test_what_is_long_is_there() -> None:
    for entry, words in LONG.entries.items():
        tests = _tests_of(entry)
        # The second topology of a test that runs on one alone is nothing that could be left out.
        alone = [ast.unparse(decorator) for test in tests for decorator in test.decorator_list]
        if words == ["cluster"] and len(tests) == 1:
            assert not [mark for mark in alone if mark == "embedded" or "['embedded']" in mark], entry


def test_what_comes_first_is_there() -> None:
    for entry in FIRST.entries:
        if "::" in entry:
            _tests_of(entry)
        else:  # a file, a folder, or the beginning of files' names
            assert (TESTS / entry).exists() or [*TESTS.glob(f"{entry}*.py")], entry
