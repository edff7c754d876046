"""The conformance statement says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.services.docs.conformance import TABLES, filled
from gantry.services.docs.generate import ROOT, with_tree
from gantry.services.docs.tree import drawn

STATEMENT = Path(__file__).parents[4] / "docs/conformance.md"


def test_the_conformance_statement_is_current() -> None:
    text = STATEMENT.read_text(encoding="utf-8")
    assert filled(text) == text, "run `make docs`"


def test_a_statement_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(LookupError, match="query-keys"):
        filled("".join(f"<!-- table: {name} -->\n<!-- end -->\n" for name in TABLES if name != "query-keys"))


def test_the_drawn_tree_is_that_of_the_folders() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert with_tree(text) == text, "run `make docs`"


def test_every_room_says_what_it_is_for() -> None:
    rooms = [line for line in drawn(ROOT).splitlines() if "/    " in line]
    assert len(rooms) > 40
    assert not [line for line in rooms if not line.partition("/    ")[2].strip()]
