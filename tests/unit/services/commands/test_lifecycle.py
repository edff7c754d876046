"""Reasons on the command line are as those over HTTP: one line, and not a long one."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from gantry.services.commands.holding import hold
from gantry.services.commands.lifecycle import choose, delete, purge, redundant, undelete

COMMANDS = [
    (delete, ["1.2", "--reason"]),
    (undelete, ["1.2", "--reason"]),
    (purge, ["1.2", "--yes", "--reason"]),
    (hold, ["place", "1.2", "--reason"]),
    (choose, ["1.2", "0" * 32, "--reason"]),
    (redundant, ["--delete"]),
]


@pytest.mark.parametrize(("command", "arguments"), COMMANDS, ids=lambda value: getattr(value, "name", ""))
@pytest.mark.parametrize("reason", ["", " ", "two\nlines", "\x1b[2J", "x" * 201])
def test_a_reason_that_is_no_line_is_refused_before_anything_is_opened(
    command: object, arguments: list[str], reason: str
) -> None:
    result = CliRunner().invoke(command, [*arguments, reason])  # type: ignore[arg-type]
    assert result.exit_code == 2
    assert "one line of at most 200 characters" in result.output


def test_uids_and_rules_exclude_each_other() -> None:
    for arguments in ([], ["1.2", "--where", "Modality=CT"]):
        result = CliRunner().invoke(delete, [*arguments, "--reason", "x"])
        assert (result.exit_code, "give UIDs, or rules with --where" in result.output) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give Study Instance UIDs, or a patient"),
        (["1.2", "--patient", "P1"], "give Study Instance UIDs, or a patient"),
        (["1.2", "--issuer", "I"], "--issuer goes with --patient"),
        (["--patient", " "], "is empty"),
    ],
)
def test_a_hold_is_of_studies_or_of_one_patient(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(hold, ["place", *arguments, "--reason", "trial"])
    assert result.exit_code == 2
    assert words in result.output
