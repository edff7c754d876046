"""An object on its way out: read inline what the page cache holds, in a thread what the disk must fetch."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from concurrent.futures import Executor

from gantry.common.adapters.files.errors import translating
from gantry.common.adapters.files.uncancelled import uncancelled

_TOGETHER = 64
"""Files that are open at once for their parts."""

# Linux only; elsewhere, and on file systems without it, every read takes a thread.
_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)


class FileReader:
    """`gantry.common.ports.blobs.BlobReader` over a range of a file."""

    def __init__(self, fd: int, size: int, start: int, end: int, threads: Executor) -> None:
        self.size = size
        self._fd = fd
        self._at = start
        self._end = end
        self._threads = threads
        self._inline = bool(_NOWAIT)

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """See the port. Never blocks the event loop: a read that would wait for the disk moves to a thread."""
        wanted = _cut(buffers, self._end - self._at)
        total = sum(len(view) for view in wanted)
        done = self._read_cached(wanted) if total else 0
        if done < total:
            rest = _drop(wanted, done)
            loop = asyncio.get_running_loop()
            reading = loop.run_in_executor(self._threads, _read_all, self._fd, rest, self._at + done)
            with translating():
                # Not before the thread is done may the caller use the buffers, or `close` the descriptor.
                done += await uncancelled(reading)
        self._at += done
        return done

    async def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _read_cached(self, buffers: list[memoryview]) -> int:
        """As much as there is without waiting; 0 where the first byte would have to be waited for."""
        if not self._inline:
            return 0
        try:
            return os.preadv(self._fd, buffers, self._at, _NOWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            # The file system knows no RWF_NOWAIT; any other error will come again in the thread.
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                self._inline = False
            return 0


def _cut(buffers: Sequence[memoryview], limit: int) -> list[memoryview]:
    """The beginning of `buffers`, `limit` bytes at most."""
    kept = []
    for buffer in buffers:
        view = buffer.cast("B") if buffer.format != "B" or buffer.ndim != 1 else buffer
        if len(view) >= limit:
            if limit:
                kept.append(view[:limit])
            break
        limit -= len(view)
        kept.append(view)
    return kept


def _drop(buffers: list[memoryview], count: int) -> list[memoryview]:
    """`buffers` without their first `count` bytes."""
    rest = []
    for view in buffers:
        if count >= len(view):
            count -= len(view)
        else:
            rest.append(view[count:])
            count = 0
    return rest


def _read_all(fd: int, buffers: list[memoryview], at: int) -> int:
    done = 0
    while buffers:
        count = os.preadv(fd, buffers, at + done)
        if count == 0:
            break
        done += count
        buffers = _drop(buffers, count)
    return done


def read_parts(parts: Sequence[tuple[str, int, int]]) -> list[bytes]:
    """Parts of files by path, offset and length. The disk is told of many before the first is waited for."""
    found: list[bytes] = []
    for at in range(0, len(parts), _TOGETHER):
        found += _read_together(parts[at : at + _TOGETHER])
    return found


def _read_together(parts: Sequence[tuple[str, int, int]]) -> list[bytes]:
    fds: list[int] = []
    try:
        for path, offset, length in parts:
            fds.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            if length and len(parts) > 1 and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(fds[-1], offset, length, os.POSIX_FADV_WILLNEED)
        return [_read(fd, offset, length) for fd, (_, offset, length) in zip(fds, parts, strict=True)]
    finally:
        for fd in fds:
            os.close(fd)


def _read(fd: int, offset: int, length: int) -> bytes:
    """As much as there is of it."""
    read = os.pread(fd, length, offset)
    while 0 < len(read) < length:
        more = os.pread(fd, length - len(read), offset + len(read))
        if not more:
            break
        read += more
    return read
