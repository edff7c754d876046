"""The generated table: one line for each row, sorted, none twice."""

from __future__ import annotations

from gantry.common.deidentify.rows import EDITION, OPTIONS_EDITION, ROWS


def test_lines_are_sorted_and_none_is_there_twice() -> None:
    names = [line.split()[0] for line in ROWS.splitlines()]
    assert names == sorted(set(names))
    assert len(names) == 656


def test_names_its_editions() -> None:
    assert (EDITION, OPTIONS_EDITION) == ("2026c", "2024b")
