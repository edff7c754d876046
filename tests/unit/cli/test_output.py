"""What people and programs read of a command."""

from __future__ import annotations

import pytest

from gantry.cli.output import print_table

UID = "1.2.826.0.1.3680043.8.498." + "7" * 38


def test_in_a_pipe_a_table_is_lines_that_grep_reads(capsys: pytest.CaptureFixture[str]) -> None:
    rows = ((uid, "x" * 60) for uid in (UID, UID + "1"))
    print_table(("restored", "why"), rows, title="two")
    title, head, *lines = capsys.readouterr().out.splitlines()
    assert (title, head.split()) == ("two", ["restored", "why"])
    assert [line.split() for line in lines] == [[UID, "x" * 60], [UID + "1", "x" * 60]]
