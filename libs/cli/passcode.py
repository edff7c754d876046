"""`gantry passcode NAME`: a line of `access.users_file`."""

from __future__ import annotations

import sys
from secrets import token_bytes

import click

from gantry.common.access import CallerRole
from gantry.common.access.user_file import line_of, users_of
from gantry.common.access.users import LONGEST_PASSCODE
from gantry.common.errors import ConfigError

_SHORTEST = 8
_ROLES = click.Choice([role.value for role in CallerRole])


@click.command()
@click.argument("name")
@click.option("--role", "roles", multiple=True, type=_ROLES, help="A role of the user; may be given several times.")
def passcode(name: str, roles: tuple[str, ...]) -> None:
    """Ask for a passcode, or read it from standard input, and write the line of the user to standard output."""
    if sys.stdin.isatty():
        passcode_text = click.prompt("passcode", hide_input=True, confirmation_prompt=True, err=True)
    else:
        passcode_text = sys.stdin.readline().rstrip("\r\n")
    secret = passcode_text.encode()
    if not _SHORTEST <= len(secret) <= LONGEST_PASSCODE:
        raise click.ClickException(f"a passcode has {_SHORTEST} to {LONGEST_PASSCODE} bytes")
    line = line_of(name, secret, token_bytes(16), map(CallerRole, roles))
    try:
        users_of(line, name)
    except ConfigError:
        raise click.ClickException("a user name has up to 64 characters and no colon") from None
    click.echo(line)
