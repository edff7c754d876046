"""Bytes in transit to a worker process and back, in unnamed files: neither copied on the event loop nor held in memory
while a client reads them slowly. A file is gone with its last descriptor, whichever process dies."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from gantry.common.errors import DependencyUnavailable
from gantry.common.net import Source
from gantry.services.retrieve.threads import in_thread

_CHUNK = 1 << 18
P = ParamSpec("P")
R = TypeVar("R")


class JobSpool:
    """One unnamed file, in the folder for temporary files (TMPDIR). Every call runs in a thread."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = 0

    @classmethod
    async def open(cls) -> JobSpool:
        """An empty spool. Raises `DependencyUnavailable`."""
        return cls(await _translated(_create))

    @classmethod
    async def in_memory(cls) -> JobSpool:
        """An empty spool that is not on any disk, if the system supports that: its content may be a secret. Raises
        `DependencyUnavailable`."""
        return cls(await _translated(_create_in_memory))

    async def copy(self, source: Source, length: int) -> int:
        """Append up to `length` bytes of a source. Returns how many there were."""
        buffer, copied = memoryview(bytearray(min(_CHUNK, length or 1))), 0
        while copied < length:
            count = await source.readinto([buffer[: min(len(buffer), length - copied)]])
            if not count:
                break
            await self.write(buffer[:count])
            copied += count
        return copied

    async def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        at, self.size = self.size, self.size + len(data)
        await _translated(_write, self.descriptor, data, at)

    async def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`."""
        return await _translated(os.pread, self.descriptor, length, offset)

    async def readinto(self, buffer: memoryview, offset: int) -> int:
        """Fill a buffer from `offset`. Returns how many bytes there were."""
        return await _translated(os.preadv, self.descriptor, [buffer], offset)

    def close(self) -> None:
        """Free the disk space. May be called twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class SpoolSource:
    """A spool, or a part of it, as a source; closing it closes the spool."""

    def __init__(self, spool: JobSpool, offset: int = 0, length: int | None = None) -> None:
        self._spool = spool
        self._at = offset
        self._end = spool.size if length is None else offset + length

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """Fill the buffers in order; 0 at the end."""
        done = 0
        for buffer in buffers:
            part = buffer[: max(0, self._end - self._at)]
            count = await self._spool.readinto(part, self._at) if part else 0
            self._at += count
            done += count
            if count < len(buffer):
                break
        return done

    async def close(self) -> None:
        """Close the spool."""
        self._spool.close()


def _create() -> int:
    with tempfile.TemporaryFile(prefix="gantry-", buffering=0) as file:
        return os.dup(file.fileno())


def _create_in_memory() -> int:
    create = getattr(os, "memfd_create", None)
    return _create() if create is None else int(create("gantry-job"))


def _write(descriptor: int, data: bytes | memoryview, at: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, at)
        view, at = view[count:], at + count


async def _translated(call: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    try:
        return await in_thread(call, *arguments, **named)
    except OSError as error:
        raise DependencyUnavailable("temporary files", os.strerror(error.errno or 0)) from error
