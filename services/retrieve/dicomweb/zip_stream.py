"""A zip archive made while it is sent: only its directory is held in memory."""

from __future__ import annotations

import io
import zipfile
from typing import IO


class ZipStream:
    """Add files, and `take` the archive's bytes so far. Stored, not compressed: pixel data hardly shrinks."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._archive = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED)

    def begin(self, name: str, size: int) -> IO[bytes]:
        """A file of this many bytes, to be written and closed before the next one."""
        info = zipfile.ZipInfo(name)
        info.file_size = size
        return self._archive.open(info, "w", force_zip64=size > 0x7FFFFFFF)

    def end(self) -> None:
        """Write the directory."""
        self._archive.close()

    def take(self) -> bytes:
        """The bytes to send now."""
        return self._sink.take()


class _Sink(io.RawIOBase):
    """A file that cannot be read or sought."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]  # a buffer
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        whole = b"".join(self._parts)
        self._parts.clear()
        return whole
