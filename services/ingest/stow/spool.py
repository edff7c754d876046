"""Bulk data in transit: a part may precede the metadata that refers to it, and have any size, so it waits on disk."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import IO

from gantry.common.errors import DependencyUnavailable


class BulkSpool:
    """One unnamed file for all parts of a request, gone with the process: parts come one after the other, and thousands
    of parts must not be thousands of files."""

    def __init__(self) -> None:
        """Costs nothing until the first part comes."""
        self._file: IO[bytes] | None = None
        self._length = 0

    def part(self, media_type: str, transfer_syntax: str) -> SpooledBulk:
        """The next part begins; the part before it is complete."""
        return SpooledBulk(self, self._length, media_type, transfer_syntax)

    def append(self, data: bytes) -> None:
        """Write at the end of the file. Raises `DependencyUnavailable` if the disk is full or fails."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the request)
            self._file.seek(self._length)
            self._file.write(data)
        except OSError as error:
            raise _no_room(error) from error
        self._length += len(data)

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`. Raises `DependencyUnavailable` as `append` does."""
        if self._file is None:
            return b""
        try:
            self._file.seek(offset)  # writes what is still in memory
            return self._file.read(length)
        except OSError as error:
            raise _no_room(error) from error

    def close(self) -> None:
        """Free the disk space."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()


class SpooledBulk:
    """One part. A `Bulk` of `gantry.services.ingest.stow.instance_builder`."""

    def __init__(self, spool: BulkSpool, offset: int, media_type: str, transfer_syntax: str) -> None:
        self.media_type = media_type
        self.transfer_syntax = transfer_syntax
        self.size = 0
        self._spool = spool
        self._offset = offset

    def write(self, data: bytes) -> None:
        """Append the next bytes. Raises `DependencyUnavailable` if the disk is full or fails."""
        self._spool.append(data)
        self.size += len(data)

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`. Raises `DependencyUnavailable` as `write` does."""
        return self._spool.read(self._offset + offset, max(0, min(length, self.size - offset)))


def _no_room(error: OSError) -> DependencyUnavailable:
    return DependencyUnavailable("room for bulk data", os.strerror(error.errno or 0).lower())
