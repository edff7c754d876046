"""Bulk data on its way: parts come before or after what refers to them, and are of any size, so they wait on disk."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import IO

from libs.common.errors import DependencyUnavailable


class SpooledBulk:
    """One part in a file without a name, gone with the process. A `Bulk` of `services.ingest.making`."""

    def __init__(self, media_type: str, transfer_syntax: str) -> None:
        self.media_type = media_type
        self.transfer_syntax = transfer_syntax
        self.size = 0
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (it is closed with the request)
        except OSError as error:
            raise _no_room(error) from error

    def write(self, data: bytes) -> None:
        """The next bytes. Raises `DependencyUnavailable` where there is no room."""
        try:
            self._file.write(data)
        except OSError as error:
            raise _no_room(error) from error
        self.size += len(data)

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`. Raises `DependencyUnavailable` as `write` does."""
        try:
            self._file.seek(offset)  # writes what is still in memory
            return self._file.read(length)
        except OSError as error:
            raise _no_room(error) from error

    def close(self) -> None:
        """Give the room back."""
        with suppress(OSError):
            self._file.close()


def _no_room(error: OSError) -> DependencyUnavailable:
    return DependencyUnavailable("room for bulk data", os.strerror(error.errno or 0).lower())
