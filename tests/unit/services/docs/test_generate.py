"""The conformance statement says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.services.docs.conformance import TABLES, filled

STATEMENT = Path(__file__).parents[4] / "docs/conformance.md"


def test_the_conformance_statement_is_current() -> None:
    text = STATEMENT.read_text(encoding="utf-8")
    assert filled(text) == text, "run `make docs`"


def test_a_statement_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(LookupError, match="query-keys"):
        filled("".join(f"<!-- table: {name} -->\n<!-- end -->\n" for name in TABLES if name != "query-keys"))
