"""The options that limit an import, for `gantry import` and `import-in-place`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gantry.cli.importing.pace import Hours, hours, rate


def throttled(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --rate (`bytes_per_second`, None for no limit) and --hours (`within`, None for at any time)."""
    command = click.option(
        "--hours",
        "within",
        callback=_hours,
        metavar="FROM-UNTIL",
        help="Only within these hours of local time: 19:00-06:30.",
    )(command)
    return click.option(
        "--rate", "bytes_per_second", callback=_rate, metavar="BYTES", help="At most so many bytes a second: 500K, 20M."
    )(command)


def _rate(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else rate(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _hours(_: click.Context, __: click.Parameter, value: str | None) -> Hours | None:
    try:
        return None if value is None else hours(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
