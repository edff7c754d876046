"""A bearer token in a file."""

from __future__ import annotations

from pathlib import Path

import click


def read_token(path: Path | None) -> str:
    """The token; "" if no file is given. Raises `click.UsageError` for an invalid token."""
    if path is None:
        return ""
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"the token file {path} cannot be read: {error}") from None
    if not token or not (token.isascii() and token.isprintable()):
        raise click.UsageError(f"the token file {path} does not hold a token: one line of ASCII is expected")
    return token
