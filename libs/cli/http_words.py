"""What went wrong with a request over HTTP, in words."""

from __future__ import annotations

import os

import aiohttp


def words_of(error: Exception) -> str:
    """What an error says; of a connection that there was not: to whom, and why."""
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        why = os.strerror(cause.errno) if isinstance(cause.errno, int) and cause.errno > 0 else str(cause)
        return f"{error.host}:{error.port}: {why}"
    return str(error) or type(error).__name__
