"""Small pictures on the local disk, made once: in a folder of their own, readable by its owner only, bounded in bytes.

A picture is named by the digest of the object's bytes and by the request, so that it is never used for other bytes. The
folder may be removed at any time; several processes may share one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from gantry.common.telemetry.logs import get_logger

logger = get_logger("retrieve")
_LONGEST = 1 << 20
"""Largest picture that is cached, in bytes: a thumbnail has a few thousand."""


class PictureCache:
    """Pictures by name. A full or failing disk costs time, and nothing else."""

    def __init__(self, folder: Path | None, most: int) -> None:
        """`most` in bytes; 0 caches nothing. If `folder` is None, a temporary one is used, and removed by `close`."""
        self._folder = folder
        self._most = most
        self._own: Path | None = None
        self._sizes: OrderedDict[str, int] | None = None
        self._total = 0
        self._is_away = False
        self._turn = asyncio.Lock()

    async def get(self, name: str) -> bytes | None:
        """The picture that was put under a name, None if it was evicted."""
        if not self._most:
            return None
        async with self._turn:
            return await asyncio.to_thread(self._read, name)

    async def put(self, name: str, picture: bytes) -> None:
        """Cache a picture; the least recently used are evicted."""
        if self._most and 0 < len(picture) <= min(_LONGEST, self._most):
            async with self._turn:
                await asyncio.to_thread(self._write, name, picture)

    async def close(self) -> None:
        """Remove the folder, if it is a temporary one."""
        own, self._own = self._own, None
        if own is not None:
            await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)

    def _read(self, name: str) -> bytes | None:
        try:
            picture = self._path(name).read_bytes()
        except OSError:
            return None
        sizes = self._known()
        if name in sizes:
            sizes.move_to_end(name)
        with suppress(OSError):
            os.utime(self._path(name))  # the order of eviction after the next start
        return picture or None

    def _write(self, name: str, picture: bytes) -> None:
        try:
            path, sizes = self._path(name), self._known()
            path.parent.mkdir(0o700, parents=True, exist_ok=True)
            # Renamed when complete: another process may read it.
            unfinished = path.with_name(f".{name}.{token_hex(4)}")
            unfinished.write_bytes(picture)
            unfinished.replace(path)
        except OSError as error:
            if not self._is_away:
                logger.warning("thumbnails cannot be cached; each is made anew", error=error.strerror)
            self._is_away = True
            return
        self._is_away = False
        self._total += len(picture) - sizes.pop(name, 0)
        sizes[name] = len(picture)
        while self._total > self._most:
            oldest, size = sizes.popitem(last=False)
            self._total -= size
            with suppress(OSError):
                self._path(oldest).unlink()

    def _root(self) -> Path:
        if self._folder is not None:
            return self._folder
        if self._own is None:
            self._own = Path(tempfile.mkdtemp(prefix="gantry-pictures-"))
        return self._own

    def _path(self, name: str) -> Path:
        return self._root() / name[:2] / name

    def _known(self) -> OrderedDict[str, int]:
        """Name and size of the cached pictures, the least recently used first; read from the folder once."""
        if self._sizes is None:
            root = self._root()
            root.mkdir(0o700, parents=True, exist_ok=True)
            pictures = []
            for path in root.glob("??/*"):
                with suppress(OSError):
                    stat = path.stat()
                    pictures.append((stat.st_mtime, path.name, stat.st_size))
            self._sizes = OrderedDict((name, size) for _, name, size in sorted(pictures))
            self._total = sum(self._sizes.values())
        return self._sizes
