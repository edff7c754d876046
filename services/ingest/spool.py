"""Bulk data on its way: parts come before or after what refers to them, and are of any size, so they wait on disk."""

from __future__ import annotations

import tempfile
from typing import IO

from libs.common.errors import DependencyUnavailable


class SpooledBulk:
    """One part in a file without a name, gone with the process. A `Bulk` of `services.ingest.making`."""

    def __init__(self, media_type: str, transfer_syntax: str) -> None:
        self.media_type = media_type
        self.transfer_syntax = transfer_syntax
        self.size = 0
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (it is closed with the request)

    def write(self, data: bytes) -> None:
        """The next bytes. Raises `DependencyUnavailable` where there is no room."""
        try:
            self._file.write(data)
        except OSError as error:
            raise DependencyUnavailable("room for bulk data", "no space left") from error
        self.size += len(data)

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`."""
        self._file.seek(offset)
        return self._file.read(length)

    def close(self) -> None:
        """Give the room back."""
        self._file.close()
