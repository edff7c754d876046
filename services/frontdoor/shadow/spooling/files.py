"""The files of the spool. All functions block: they are for a thread.

FOLDER/OWNER/                 the lines of one process of the door, locked while it runs; 0700
FOLDER/OWNER/LINE/about       the origin of the line: one association, or one request
FOLDER/OWNER/LINE/00000003    one complete object; `.part` while it is written; 0600
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gantry.services.frontdoor.shadow.spooling.heads import END_LENGTH, About, Head, ending, head_in, head_length

_PART = ".part"
_ABOUT = "about"
_LOCK = "lock"
_TRIES, _TRY_SECONDS = 100, 0.02
_AHEAD = 1 << 20
"""Bytes that are read at once."""
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(slots=True)
class FoundLine:
    """A line that was found: `entries` are number, bytes on disk and microseconds since the epoch of each object."""

    name: str
    about: About
    entries: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass(slots=True)
class SpoolContents:
    """The content of a folder. `owners` were taken over, `broken` counts incomplete files."""

    lines: list[FoundLine] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    broken: int = 0


class Writing:
    """A file that is being written."""

    def __init__(self, line: Path, number: int) -> None:
        self._path = path_of(line, number)
        self._part = self._path.with_name(self._path.name + _PART)
        self._fd = -1
        self._has_failed = False

    def append(self, data: bytes | bytearray) -> None:
        """Write the next bytes. Raises `OSError`, and then on every later call: an object with a gap is never
        complete."""
        if self._has_failed:
            raise OSError(errno.EIO, "earlier writes failed")
        self._has_failed = True
        if self._fd < 0:
            self._fd = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
        left = memoryview(data)
        while left:
            left = left[os.write(self._fd, left) :]
        self._has_failed = False

    def finish(self, head: Head) -> None:
        """Make the complete file durable. Raises `OSError`."""
        self.append(ending(head))
        os.fdatasync(self._fd)
        self._close()
        os.rename(self._part, self._path)
        _sync(self._path.parent)

    def drop(self) -> None:
        """Discard the file."""
        self._close()
        for path in (self._part, self._path):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class SpooledSource:
    """The bytes of an object as a `Source`: in pieces, read in a thread."""

    def __init__(self, fd: int, length: int) -> None:
        self._fd = fd
        self._position = 0
        self._length = length
        self._ahead = memoryview(b"")

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        # If the caller is cancelled, the thread goes on: it must not write into buffers that are reused by then.
        if not self._ahead and self._position < self._length:
            wanted = min(_AHEAD, self._length - self._position)
            self._ahead = memoryview(await asyncio.to_thread(os.pread, self._fd, wanted, self._position))
            self._position += len(self._ahead)
        count = 0
        for buffer in buffers:
            piece = self._ahead[: len(buffer)]
            buffer[: len(piece)] = piece
            self._ahead = self._ahead[len(piece) :]
            count += len(piece)
        return count

    async def close(self) -> None:
        self.close_now()

    def close_now(self) -> None:
        """Like `close`, without waiting."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def path_of(line: Path, number: int) -> Path:
    """The path of an object."""
    return line / f"{number:08d}"


def own_folder(folder: Path, owner: str) -> int:
    """Create and lock the folder of a process; returns the descriptor of the lock. Raises `OSError`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = folder / owner
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):
            own.mkdir(mode=0o700, exist_ok=True)
            fd = os.open(own / _LOCK, os.O_RDWR | os.O_CREAT | _OPEN, 0o600)
            try:
                # Another process that looks for what was left may have taken it for that, between these two lines. It
                # is done with it soon, and the folder is gone then.
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if (own / _LOCK).exists() and os.path.samestat(os.fstat(fd), (own / _LOCK).stat()):
                    _sync(folder)
                    return fd
            except BlockingIOError:
                time.sleep(_TRY_SECONDS)
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
    raise OSError(errno.EBUSY, "the folder is removed again and again")


def take_over(folder: Path, kind: str, owner: str) -> SpoolContents:
    """Move the lines of processes that have ended into our own folder; only of processes whose names begin with `kind`,
    as ours does. Raises `OSError`."""
    leftovers = SpoolContents()
    for theirs in sorted(folder.iterdir()):
        if theirs.name == owner or not theirs.name.startswith(kind) or theirs.is_symlink() or not theirs.is_dir():
            continue
        try:
            fd = os.open(theirs / _LOCK, os.O_RDWR | _OPEN)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for line in sorted(path for path in theirs.iterdir() if path.name != _LOCK):
                _move(line, folder / owner, leftovers)
            shutil.rmtree(theirs, ignore_errors=True)
            leftovers.owners.append(theirs.name.removeprefix(kind))
        except OSError:
            continue  # its process still runs, or another one was faster
        finally:
            os.close(fd)
    return leftovers


def _move(line: Path, own: Path, leftovers: SpoolContents) -> None:
    try:
        about = About.from_json((line / _ABOUT).read_bytes())
    except (OSError, ValueError):
        leftovers.broken += sum(1 for _ in line.iterdir()) if line.is_dir() else 1
        shutil.rmtree(line, ignore_errors=True)
        return
    leftover = FoundLine(line.name, about)
    for entry in sorted(os.scandir(line), key=lambda known: known.name):
        if entry.name == _ABOUT:
            continue
        stat = entry.stat(follow_symlinks=False)
        if not entry.name.isdigit() or len(entry.name) != 8 or not entry.is_file(follow_symlinks=False):
            leftovers.broken += 1
            with suppress(OSError):
                os.unlink(entry.path)
            continue
        leftover.entries.append((int(entry.name), stat.st_size, stat.st_mtime_ns // 1000))
    os.rename(line, own / line.name)
    leftovers.lines.append(leftover)


def make_line(line: Path, about: About) -> None:
    """Create the folder of a line, if it does not exist. Raises `OSError`."""
    path = line / _ABOUT
    if path.exists():
        return
    line.mkdir(mode=0o700, exist_ok=True)
    part = line / (_ABOUT + _PART)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _OPEN, 0o600)
    try:
        os.write(fd, about.to_json())
        os.fdatasync(fd)
    finally:
        os.close(fd)
    os.rename(part, path)
    _sync(line)
    _sync(line.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _OPEN)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_line(line: Path) -> None:
    """Remove a line and everything in it."""
    shutil.rmtree(line, ignore_errors=True)


def read_head(line: Path, number: int) -> Head:
    """The head of an object. Raises `OSError`, `ValueError`."""
    fd = os.open(path_of(line, number), os.O_RDONLY | _OPEN)
    try:
        return _head(fd)[0]
    finally:
        os.close(fd)


def _head(fd: int) -> tuple[Head, int]:
    size = os.fstat(fd).st_size
    length = head_length(os.pread(fd, END_LENGTH, max(0, size - END_LENGTH)))
    begins = size - END_LENGTH - length
    if begins < 0:
        raise ValueError("not written whole")
    return head_in(os.pread(fd, length, begins)), begins


def open_object(line: Path, number: int) -> tuple[SpooledSource, int]:
    """The bytes of an object, and their number. Raises `OSError`, `ValueError`."""
    fd = os.open(path_of(line, number), os.O_RDONLY | _OPEN)
    try:
        length = _head(fd)[1]
    except BaseException:
        os.close(fd)
        raise
    return SpooledSource(fd, length), length
