"""`gantry passcode`: a line that the archive reads."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from gantry.cli.passcode import passcode
from gantry.common.access import CallerRole
from gantry.common.access.user_file import users_of


def test_line_is_a_user_with_the_passcode_of_standard_input() -> None:
    made = CliRunner().invoke(passcode, ["jane", "--role", "radiologist"], input="correct horse\n")
    assert made.exit_code == 0, made.output
    assert "horse" not in made.output
    user = users_of(made.output, "users")["jane"]
    assert user.roles == {CallerRole.RADIOLOGIST}
    assert user.passcode is not None
    assert user.passcode.is_of(b"correct horse")


@pytest.mark.parametrize(("name", "secret"), [("jane", "short"), ("jane", "x" * 1025), ("a:b", "correct horse")])
def test_what_is_no_name_or_passcode_is_refused(name: str, secret: str) -> None:
    made = CliRunner().invoke(passcode, [name], input=f"{secret}\n")
    assert made.exit_code == 1
    assert secret not in made.output
