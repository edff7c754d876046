"""What `gantry workitems list` takes, before it opens a store."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from gantry.services.commands.workitems import workitems


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("limit=5", "-k names attributes; --limit says how many"),
        ("offset=5", "-k names attributes; --limit says how many"),
        ("Foo=1", "Foo is no parameter and no attribute"),
        ("fuzzymatching=perhaps", "fuzzymatching is neither true nor false"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(key: str, words: str) -> None:
    result = CliRunner().invoke(workitems, ["list", "--config", "/nowhere/gantry.yaml", "-k", key])
    assert result.exit_code == 2
    assert words in result.output
    assert "was ignored" not in result.output
