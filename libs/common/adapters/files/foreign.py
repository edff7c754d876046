"""`gantry.common.ports.foreign.ForeignStore` on a folder: foreign files, which are only read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import TypeVar

from gantry.common.adapters.files.errors import translating
from gantry.common.adapters.files.reader import FileReader
from gantry.common.errors import Corrupt, DependencyUnavailable, NotFound
from gantry.common.ports.foreign import ForeignObject

T = TypeVar("T")
_PAGE = 1000
_THREADS = 4
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class ForeignFolder:
    """Regular files below a folder. A key is a path relative to it, links are not followed."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._threads = ThreadPoolExecutor(_THREADS, "gantry-in-place")

    async def list(self, prefix: str = "") -> AsyncIterator[ForeignObject]:
        await self.check()
        blobs = _below(self._root, prefix)
        while page := await self._run(lambda: list(islice(blobs, _PAGE))):
            for blob in page:
                yield blob

    async def open(self, key: str, tag: str, offset: int = 0, length: int | None = None) -> FileReader:
        def begin() -> tuple[int, int]:
            fd = os.open(self._path(key), _FLAGS)
            try:
                return fd, _require(os.fstat(fd), tag)
            except BaseException:
                os.close(fd)
                raise

        fd, size = await self._run(begin)
        start = min(max(offset, 0), size)
        end = size if length is None else min(size, start + max(length, 0))
        return FileReader(fd, size, start, end, self._threads)

    async def stat(self, key: str, tag: str) -> ForeignObject:
        return ForeignObject(key, await self._run(lambda: _require(os.lstat(self._path(key)), tag)), tag)

    async def check(self) -> None:
        if not await asyncio.to_thread(os.access, self._root, os.R_OK | os.X_OK):
            raise DependencyUnavailable("folder in place", "it is not there, or cannot be read")

    async def close(self) -> None:
        self._threads.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            with translating():
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except NotFound:
            # If the folder itself is gone, a disk is not mounted: that says nothing about its files.
            await self.check()
            raise

    def _path(self, key: str) -> str:
        if not key or any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key:
            raise NotFound("no such object")
        return f"{self._root}/{key}"


def _below(root: str, prefix: str) -> Iterator[ForeignObject]:
    """Files in the order of their paths, a folder at a time."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(f"{root}/{folder}") as entries:
            listing = sorted(entries, key=lambda entry: entry.name)
        folders = []
        for entry in listing:
            key = f"{folder}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if f"{key}/".startswith(prefix) or prefix.startswith(f"{key}/"):
                    folders.append(f"{key}/")
            elif entry.is_file(follow_symlinks=False) and key.startswith(prefix):
                stat = entry.stat(follow_symlinks=False)
                yield ForeignObject(key, stat.st_size, _tag(stat))
        waiting += reversed(folders)


def _tag(stat: os.stat_result) -> str:
    return f"{stat.st_size:x}-{stat.st_mtime_ns:x}"


def _require(stat: os.stat_result, tag: str) -> int:
    """The size. Raises `NotFound`, `Corrupt`."""
    if not S_ISREG(stat.st_mode):
        raise NotFound("no such object")
    if _tag(stat) != tag:
        raise Corrupt("an object in place was changed by its owner")
    return stat.st_size
