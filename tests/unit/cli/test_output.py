"""What people and programs read of a command."""

from __future__ import annotations

import pytest

from gantry.cli.output import print_table, printable

UID = "1.2.826.0.1.3680043.8.498." + "7" * 38


def test_in_a_pipe_a_table_is_lines_that_grep_reads(capsys: pytest.CaptureFixture[str]) -> None:
    rows = ((uid, "x" * 60) for uid in (UID, UID + "1"))
    print_table(("restored", "why"), rows, title="two")
    title, head, *lines = capsys.readouterr().out.splitlines()
    assert (title, head.split()) == ("two", ["restored", "why"])
    assert [line.split() for line in lines] == [[UID, "x" * 60], [UID + "1", "x" * 60]]


@pytest.mark.parametrize(
    "text", ["Doe[/foo]^Jane", "[link=https://192.0.2.1]Doe[/link]", "\x1b]0;Doe\x07", "\x9b2JDoe", "a\nDoe"]
)
def test_what_an_archive_says_is_no_markup_and_no_command_of_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    print_table(("attribute", "shown"), [("PatientName", text)])
    line = next(line for line in capsys.readouterr().out.splitlines() if "PatientName" in line)
    assert printable(text) in line
    assert "\x1b]" not in line
    assert "\x9b" not in line
