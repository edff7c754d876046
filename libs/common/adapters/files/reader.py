"""Reading an object: inline if the page cache holds the bytes, in a thread if the disk must fetch them."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from concurrent.futures import Executor

from gantry.common.adapters.files.errors import translating
from gantry.common.adapters.files.uncancelled import uncancelled

_TOGETHER = 64
"""Files that are opened at once to read their parts."""

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
                # The caller may reuse the buffers, or `close` the descriptor, only when the thread is done.
                done += await uncancelled(reading)
        self._at += done
        return done

    async def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _read_cached(self, buffers: list[memoryview]) -> int:
        """Read as much as is cached, without waiting; 0 if the first byte is not cached."""
        if not self._inline:
            return 0
        try:
            return os.preadv(self._fd, buffers, self._at, _NOWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            # The file system does not support RWF_NOWAIT; any other error will occur again in the thread.
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                self._inline = False
            return 0


def _cut(buffers: Sequence[memoryview], limit: int) -> list[memoryview]:
    """The beginning of `buffers`, `limit` bytes at most."""
    views = []
    for buffer in buffers:
        view = buffer.cast("B") if buffer.format != "B" or buffer.ndim != 1 else buffer
        if len(view) >= limit:
            if limit:
                views.append(view[:limit])
            break
        limit -= len(view)
        views.append(view)
    return views


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
    """Parts of files by path, offset and length. Many reads are announced to the kernel before the first is awaited."""
    contents: list[bytes] = []
    for at in range(0, len(parts), _TOGETHER):
        contents += _read_together(parts[at : at + _TOGETHER])
    return contents


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
    """At most `length` bytes from `offset`, fewer at the end of the file."""
    read = os.pread(fd, length, offset)
    while 0 < len(read) < length:
        more = os.pread(fd, length - len(read), offset + len(read))
        if not more:
            break
        read += more
    return read
