"""The option for the reason of a change."""

from __future__ import annotations

import click

from gantry.common.web.callers import LONGEST_REASON


def one_line(_: click.Context, __: click.Parameter, reason: str | None) -> str | None:
    """Check a reason, as over HTTP: it is kept for ever, and shown on one line."""
    if reason is not None and (not reason.strip() or len(reason) > LONGEST_REASON or not reason.isprintable()):
        raise click.BadParameter(f"one line of at most {LONGEST_REASON} characters")
    return reason


reason_option = click.option(
    "--reason",
    required=True,
    callback=one_line,
    help="The reason; kept for ever with the event, so no patient's name belongs here.",
)
