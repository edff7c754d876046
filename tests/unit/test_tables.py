"""The tables by which a run leaves tests to another one name tests that there are."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests.support.first import FIRST
from tests.support.long import LONG
from tests.support.tables import Table

TESTS = Path(__file__).parents[1]


@cache
def _functions(file: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


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


def test_an_entry_means_tests_by_the_beginning_of_a_name_and_a_word_of_the_parameters() -> None:
    table = Table({"unit/": [""], "crash/test_a.py::test_one": ["cluster-1", "[2"]})
    assert "tests/unit/deep/test_x.py::test_y" in table
    assert "tests/crash/test_a.py::test_one_is[cluster-1]" in table
    assert "tests/crash/test_a.py::test_one_is[2]" in table
    assert "tests/crash/test_a.py::test_one_is[embedded-1]" not in table
    assert "tests/crash/test_a.py::test_other[cluster-1]" not in table
    assert "tests/crash/test_ab.py::test_one[cluster-1]" not in table
    assert table.idle(["tests/unit/test_x.py::test_y"]) == ["crash/test_a.py::test_one"]
