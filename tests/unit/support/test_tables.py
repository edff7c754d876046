"""`tests.support.tables`."""

from __future__ import annotations

from tests.support.tables import Table


def test_an_entry_means_tests_by_the_beginning_of_a_name_and_a_word_of_the_parameters() -> None:
    table = Table({"unit/": [""], "crash/test_a.py::test_one": ["cluster-1", "[2"]})
    assert "tests/unit/deep/test_x.py::test_y" in table
    assert "tests/crash/test_a.py::test_one_is[cluster-1]" in table
    assert "tests/crash/test_a.py::test_one_is[2]" in table
    assert "tests/crash/test_a.py::test_one_is[embedded-1]" not in table
    assert "tests/crash/test_a.py::test_other[cluster-1]" not in table
    assert "tests/crash/test_ab.py::test_one[cluster-1]" not in table
    assert table.idle(["tests/unit/test_x.py::test_y"]) == ["crash/test_a.py::test_one"]
