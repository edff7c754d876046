"""Errors of HTTP requests, in words."""

from __future__ import annotations

import os
import ssl

import aiohttp


def words_of(error: Exception) -> str:
    """The message of an error; for a failed connection, its host, port and reason."""
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        # The number of an error of TLS is OpenSSL's, not the system's.
        number = 0 if isinstance(cause, ssl.SSLError) else cause.errno
        why = os.strerror(number) if isinstance(number, int) and number > 0 else str(cause)
        return f"{error.host}:{error.port}: {why}"
    return str(error) or type(error).__name__
