"""Writing an object of any size, in bounded memory.

Chunks are gathered in one of two buffers; while a thread writes one, the next chunks fill the other. An object that
ends before the first buffer is full is never opened as a file here: it is put whole, as cheaply as `FileStore.put`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress

from gantry.common.adapters.files.direct_io import DirectWriter
from gantry.common.adapters.files.errors import refused
from gantry.common.adapters.files.group_commit import DiskSpace
from gantry.common.adapters.files.temp import TempFolder
from gantry.common.adapters.files.uncancelled import uncancelled
from gantry.common.errors import GantryError
from gantry.common.ports.blobs import Buffer

BUFFER_SIZE = 512 * 1024
# Dirty pages are the kernel's memory, but we must bound them: a 2 GB object must not fill the page cache, nor leave two
# seconds of writing to its final fdatasync.
_SYNC_EVERY = 32 * 1024 * 1024

Commit = Callable[[list[Buffer], int, str], "asyncio.Future[None]"]


class FileWriter:
    """`gantry.common.ports.blobs.BlobWriter` into a temp file."""

    def __init__(
        self, commit: Commit, temp: TempFolder, blocks: DirectWriter, threads: Executor, room: DiskSpace
    ) -> None:
        self._commit = commit
        self._temp = temp
        self._blocks = blocks
        self._threads = threads
        self._room = room
        self._fill = bytearray()
        self._spare = bytearray()
        self._writing: asyncio.Future[None] | None = None
        self._fd = -1
        self._path = ""
        self._unsynced = 0
        self._ended = False
        self._failed = False

    async def write(self, chunk: Buffer) -> None:
        """See the port."""
        self._require_open()
        view = memoryview(chunk).cast("B")
        while len(view):
            room = BUFFER_SIZE - len(self._fill)
            self._fill += view[:room]
            view = view[room:]
            if len(self._fill) >= BUFFER_SIZE:
                await self._settle()
                self._fill, self._spare = self._spare, self._fill
                self._writing = asyncio.get_running_loop().run_in_executor(self._threads, self._flush, self._spare)

    async def commit(self) -> None:
        """See the port. After a failed commit nothing of the object remains."""
        self._require_open()
        try:
            await self._settle()
        except BaseException:
            await self.abort()
            raise
        self._ended = True
        fd, self._fd = self._fd, -1
        await uncancelled(self._commit([self._fill], fd, self._path))

    async def abort(self) -> None:
        """See the port."""
        self._ended = True
        if self._writing is not None:
            with suppress(GantryError):
                await self._settle()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            await uncancelled(asyncio.get_running_loop().run_in_executor(self._threads, _forget, fd, self._path))

    async def _settle(self) -> None:
        """Wait until no thread uses our buffers; raises the error of the thread, if any."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            try:
                await uncancelled(writing)
            except (OSError, GantryError) as error:
                self._failed = True
                raise refused(error) from error
            except asyncio.CancelledError:
                self._failed = True  # part of a chunk may be missing
                raise

    def _flush(self, buffer: bytearray) -> None:
        """Write a full buffer and empty it. In a thread; never two at once for one writer."""
        if self._fd < 0:
            self._path = self._temp.new_name()
            self._fd = self._temp.create(self._path, self._blocks.flags)
        self._room.require(len(buffer))
        self._blocks.append(self._fd, [buffer], last=False)
        self._unsynced += len(buffer)
        buffer.clear()
        if self._unsynced >= _SYNC_EVERY:
            os.fdatasync(self._fd)
            self._unsynced = 0

    def _require_open(self) -> None:
        if self._ended or self._failed:
            raise RuntimeError("the object has been committed, aborted or has failed")


def _forget(fd: int, path: str) -> None:
    os.close(fd)
    with suppress(OSError):  # the next start removes it
        os.unlink(path)
