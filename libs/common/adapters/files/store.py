"""`gantry.common.ports.blobs.BlobStore` on a folder."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from stat import S_ISREG

from gantry.common.adapters.files.direct_io import DirectWriter
from gantry.common.adapters.files.errors import DEPENDENCY, refused, translating
from gantry.common.adapters.files.fsync_pool import SLOT, FsyncPool
from gantry.common.adapters.files.group_commit import CommitJob, DiskSpace, GroupCommit, fsync_folder
from gantry.common.adapters.files.reader import FileReader, read_parts
from gantry.common.adapters.files.temp import TempFolder
from gantry.common.adapters.files.uncancelled import uncancelled
from gantry.common.adapters.files.writer import FileWriter
from gantry.common.errors import DependencyUnavailable
from gantry.common.ids import require_object_key
from gantry.common.ports.blobs import OPEN_AHEAD, BlobStat, Buffer, Part

_PAGE = 1000

DEFAULT_THREADS = 4
DEFAULT_FSYNC_WORKERS = 3
DEFAULT_LOW_WATER = 256 * 1024 * 1024


class FileStore:
    """Objects as files. Created by `open_file_store`.

    `fsync_workers` processes make small objects durable, and `threads` threads the others (all objects if there are no
    such processes). As many threads again read and stream."""

    def __init__(self, root: Path, temp: TempFolder, threads: int, fsync_workers: int, low_water: int) -> None:
        self._root = str(root)
        self._temp = temp
        self._room = DiskSpace(str(root), low_water)
        self._closed = False
        self._blocks = DirectWriter(str(temp.path))
        self._committer = GroupCommit(self._root, temp, self._blocks, threads, self._room)
        self._threads = ThreadPoolExecutor(threads, "gantry-files-io")
        direct = bool(self._blocks.flags)
        self._fsync_pool = (
            FsyncPool(self._root, direct, fsync_workers) if fsync_workers and hasattr(os, "memfd_create") else None
        )

    async def put(self, key: str, parts: Sequence[Buffer]) -> None:
        if self._fsync_pool is None or sum(map(len, parts)) > SLOT:
            await uncancelled(self._commit(key, parts, -1, ""))
            return
        require_object_key(key)
        if self._closed:
            raise RuntimeError("the store is closed")
        self._room.require(sum(map(len, parts)))
        try:
            await self._fsync_pool.commit(parts, self._temp.new_relative_name(), key)
        except OSError as error:
            raise refused(error) from error

    def writer(self, key: str) -> FileWriter:
        require_object_key(key)

        def commit(parts: list[Buffer], fd: int, path: str) -> asyncio.Future[None]:
            return self._commit(key, parts, fd, path)

        return FileWriter(commit, self._temp, self._blocks, self._threads, self._room)

    async def open(self, key: str, offset: int = 0, length: int | None = None) -> FileReader:
        path = self._path(key)
        loop = asyncio.get_running_loop()
        with translating():
            fd, size = await loop.run_in_executor(self._threads, _open, path, offset, length)
        start = min(max(offset, 0), size)
        end = size if length is None else min(size, start + max(length, 0))
        return FileReader(fd, size, start, end, self._threads)

    async def read(self, parts: Sequence[Part]) -> list[bytes]:
        wanted = [(self._path(key), max(offset, 0), max(length, 0)) for key, offset, length in parts]
        with translating():
            return await asyncio.get_running_loop().run_in_executor(self._threads, read_parts, wanted)

    async def stat(self, key: str) -> BlobStat:
        path = self._path(key)
        with translating():
            size = await asyncio.get_running_loop().run_in_executor(self._threads, _size, path)
        return BlobStat(key, size)

    async def delete(self, key: str) -> None:
        path = self._path(key)
        with translating():
            await asyncio.get_running_loop().run_in_executor(self._threads, _unlink, path)

    async def bring_back(self, key: str) -> None:
        require_object_key(key)  # a file is never archived

    async def list(self, prefix: str = "") -> AsyncIterator[BlobStat]:
        loop = asyncio.get_running_loop()
        blobs = _walk(self._root, "", prefix)
        while True:
            with translating():
                page = await loop.run_in_executor(self._threads, _page, blobs)
            for stat in page:
                yield stat
            if len(page) < _PAGE:
                return

    async def sweep_unfinished(self, older_than: float) -> int:
        # Each start removes the files of dead processes (`temp`); those of running processes are never touched.
        return 0

    async def check(self) -> None:
        with translating():
            await asyncio.get_running_loop().run_in_executor(self._threads, self._try)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        if self._fsync_pool is not None:
            self._fsync_pool.close()
        await loop.run_in_executor(None, self._committer.close)
        await loop.run_in_executor(None, self._threads.shutdown)
        await loop.run_in_executor(None, self._temp.close)

    def _commit(self, key: str, parts: Sequence[Buffer], fd: int, temp: str) -> asyncio.Future[None]:
        name = self._path(key)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._committer.submit(CommitJob(name, parts, future, fd, temp))
        return future

    def _path(self, key: str) -> str:
        require_object_key(key)
        return f"{self._root}/{key}"

    def _try(self) -> None:
        """Write, sync and remove a temp file, which fails on a read-only or full file system."""
        path = self._temp.new_name()
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        except FileNotFoundError as error:
            raise DependencyUnavailable(DEPENDENCY, "its folder is gone") from error
        try:
            self._room.look()
            os.write(fd, b"gantry")
            os.fdatasync(fd)
        finally:
            os.close(fd)
            os.unlink(path)


async def open_file_store(
    root: Path,
    *,
    threads: int = DEFAULT_THREADS,
    fsync_workers: int = DEFAULT_FSYNC_WORKERS,
    low_water: int = DEFAULT_LOW_WATER,
) -> FileStore:
    """Open the store on `root`, creating it if it is missing, and remove the remains of broken writes. Puts are refused
    while less than `low_water` bytes are free. Raises `DependencyUnavailable` if the folder cannot be used."""

    def prepare() -> tuple[Path, TempFolder]:
        root.mkdir(0o750, parents=True, exist_ok=True)
        return root.absolute(), TempFolder(root.absolute())

    try:
        path, temp = await asyncio.get_running_loop().run_in_executor(None, prepare)
    except OSError as error:
        raise DependencyUnavailable(DEPENDENCY, f"{root}: {os.strerror(error.errno or 0)}") from error
    return FileStore(path, temp, threads, fsync_workers, low_water)


def _open(path: str, offset: int, length: int | None) -> tuple[int, int]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    stat = os.fstat(fd)
    if not S_ISREG(stat.st_mode):
        os.close(fd)
        raise IsADirectoryError(errno.EISDIR, "a folder")
    # The disk begins to read while the caller prepares: a whole small object, or the beginning of a large one.
    ahead = min(stat.st_size if length is None else length, OPEN_AHEAD)
    if ahead > 0 and hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, max(offset, 0), ahead, os.POSIX_FADV_WILLNEED)
    return fd, stat.st_size


def _size(path: str) -> int:
    stat = os.stat(path)
    if not S_ISREG(stat.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a folder")
    return stat.st_size


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return
    fsync_folder(path[: path.rindex("/")])


def _page(blobs: Iterator[BlobStat]) -> list[BlobStat]:
    return list(islice(blobs, _PAGE))


def _walk(folder: str, key: str, prefix: str) -> Iterator[BlobStat]:
    """Objects below `folder` in order of their keys. A folder sorts as its name followed by "/", as in its keys."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name + "/" if e.is_dir(follow_symlinks=False) else e.name for e in entries)
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith("."):
            continue
        full = key + name
        if name.endswith("/"):
            if full.startswith(prefix) or prefix.startswith(full):
                yield from _walk(f"{folder}/{name[:-1]}", full, prefix)
        elif full.startswith(prefix):
            try:
                yield BlobStat(full, os.stat(f"{folder}/{name}").st_size)
            except FileNotFoundError:
                continue  # deleted meanwhile
