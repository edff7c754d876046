"""How objects become durable: many at once, off the event loop, sharing flushes.

An object costs its caller two thread hops, one there and one back, and six system calls: open, write, ftruncate,
fdatasync, rename, close. The fsync of the folder, which makes the name durable, is shared: the first thread to have
renamed an object leads, and threads that rename while the leader waits for the disk join the leader's next group. The
fdatasyncs of several threads share the file system's journal commits in the same way.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue

from gantry.common.adapters.files.direct_io import DirectWriter
from gantry.common.adapters.files.errors import DEPENDENCY, refused, translated
from gantry.common.adapters.files.temp import TempFolder
from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.blobs import Buffer

_FOLDERS_KEPT_OPEN = 64
_LOOK_EVERY = 16 << 20


class CommitJob:
    """One object to make durable under its name. With `fd` -1 all its bytes are in `parts`; else `temp` holds the
    beginning and `parts` the rest. `future` is done when the object is durable, or fails with the error."""

    __slots__ = ("error", "fd", "folder", "future", "name", "parts", "temp")

    def __init__(
        self, name: str, parts: Sequence[Buffer], future: asyncio.Future[None], fd: int = -1, temp: str = ""
    ) -> None:
        self.folder = name[: name.rindex("/")]
        self.name = name
        self.parts = parts
        self.future = future
        self.fd = fd
        self.temp = temp
        self.error: Exception | None = None


class GroupCommit:
    """A few threads that make objects durable, and the groups they form."""

    def __init__(self, root: str, temp: TempFolder, blocks: DirectWriter, threads: int, room: DiskSpace) -> None:
        self._root = root
        self._temp = temp
        self._blocks = blocks
        self._room = room
        self._queue: SimpleQueue[CommitJob | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._renamed: list[CommitJob] = []
        self._leading = False
        self._closed = False
        self._known = {root}
        self._making = threading.Lock()
        self._folders: dict[str, int] = {}
        self._threads = [
            threading.Thread(target=self._work, name=f"gantry-files-{n}", daemon=True) for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: CommitJob) -> None:
        """Queue an object. Its future is completed on its own loop."""
        if self._closed:
            raise RuntimeError("the store is closed")
        self._queue.put(job)

    def close(self) -> None:
        """Finish the submitted objects, then end the threads. Blocks."""
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        for fd in self._folders.values():
            os.close(fd)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            try:
                self._write(job)
            except Exception as error:
                self._discard(job)
                job.error = refused(error)
                _tell([job])
            else:
                self._join_group(job)
            del job  # do not hold the caller's buffers while waiting

    def _write(self, job: CommitJob) -> None:
        start = 0
        if job.fd < 0:
            job.temp = self._temp.new_name()
            job.fd = self._temp.create(job.temp, self._blocks.flags)
        else:
            start = os.lseek(job.fd, 0, os.SEEK_CUR)
        self._blocks.append(job.fd, job.parts, last=True, start=start)
        self._room.require()
        os.fdatasync(job.fd)
        if job.folder not in self._known:
            self._make(job.folder)
        try:
            os.rename(job.temp, job.name)
        except FileNotFoundError:
            # The folder was removed meanwhile.
            self._known = {self._root}
            self._make(job.folder)
            os.rename(job.temp, job.name)
        job.temp = ""
        os.close(job.fd)
        job.fd = -1

    def _discard(self, job: CommitJob) -> None:
        if job.fd >= 0:
            os.close(job.fd)
            job.fd = -1
        if job.temp:
            with suppress(OSError):  # the next start removes it
                os.unlink(job.temp)
            job.temp = ""

    def _make(self, folder: str) -> None:
        """Create a folder and those above it. A folder that this process sees for the first time is made durable in its
        parent even if it exists: another process may have created it but not synced it yet."""
        with self._making:
            path = self._root
            for segment in folder[len(self._root) + 1 :].split("/"):
                parent, path = path, f"{path}/{segment}"
                if path in self._known:
                    continue
                with suppress(FileExistsError):
                    os.mkdir(path, 0o750)
                fsync_folder(parent)
                self._known.add(path)

    def _join_group(self, job: CommitJob) -> None:
        with self._lock:
            self._renamed.append(job)
            if self._leading:
                return
            self._leading = True
        while True:
            with self._lock:
                group, self._renamed = self._renamed, []
                if not group:
                    self._leading = False
                    return
            self._commit(group)

    def _commit(self, group: list[CommitJob]) -> None:
        """Make the names of a group durable: one fsync per distinct folder. Called by the leader only."""
        failed: dict[str, Exception] = {}
        for folder in {job.folder for job in group}:
            try:
                os.fsync(self._folder(folder))
            except OSError as error:
                failed[folder] = translated(error)
        if failed:
            for job in group:
                job.error = failed.get(job.folder)
        _tell(group)

    def _folder(self, folder: str) -> int:
        fd = self._folders.get(folder)
        if fd is None:
            while len(self._folders) >= _FOLDERS_KEPT_OPEN:
                os.close(self._folders.pop(next(iter(self._folders))))
            fd = self._folders[folder] = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return fd


class DiskSpace:
    """Whether there is free space: a full disk would stop the event log and the index too. Checked at most once per
    `_LOOK_EVERY` bytes written, since a check costs as much as a write."""

    def __init__(self, folder: str, low_water: int) -> None:
        self._folder = folder
        self._low_water = low_water
        self._unseen = _LOOK_EVERY

    def require(self, written: int = 1 << 20) -> None:
        """Raises `DependencyUnavailable` while less than `low_water` bytes are free."""
        self._unseen += written
        if self._unseen >= _LOOK_EVERY:
            self.look()
            self._unseen = 0

    def look(self) -> None:
        """`require`, checked now."""
        free = os.statvfs(self._folder)
        if free.f_bavail * free.f_frsize < self._low_water:
            raise DependencyUnavailable(DEPENDENCY, "free space is below the low-water mark")


def fsync_folder(path: str) -> None:
    """Make the names in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _tell(jobs: list[CommitJob]) -> None:
    """Complete the futures, waking each event loop once."""
    loops: dict[asyncio.AbstractEventLoop, list[CommitJob]] = {}
    for job in jobs:
        loops.setdefault(job.future.get_loop(), []).append(job)
    for loop, theirs in loops.items():
        with suppress(RuntimeError):  # the loop was closed: no caller waits any more
            loop.call_soon_threadsafe(_complete, theirs)


def _complete(jobs: list[CommitJob]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is None:
            job.future.set_result(None)
        else:
            job.future.set_exception(job.error)
