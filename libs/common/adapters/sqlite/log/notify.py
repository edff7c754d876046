"""How a consumer in any process learns at once that an event was appended: a named pipe per consumer.

Beside the database is a folder of pipes, each named after the topics that its consumer reads. After a commit, the
appender writes a byte into the pipes of its topics. A pipe without a reader belonged to a process that died; it is
removed. A lost byte costs a second at most, since consumers also poll.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from gantry.common.clock import Clock

_LOOK_AGAIN_SECONDS = 1.0
_COARSE_NS = 3_000_000_000


class WakePipe:
    """The pipe of one consumer."""

    def __init__(self, folder: Path, topics: Collection[str]) -> None:
        self._path = folder / f"{'+'.join(sorted(topics))}.{secrets.token_hex(6)}"
        # Created under a name that appenders ignore, since a pipe that is not open for reading yet looks abandoned.
        unborn = folder / f".{self._path.name}"
        os.mkfifo(unborn, 0o660)
        # Read and write: a pipe without a writer would be readable for ever.
        self._fd = os.open(unborn, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        unborn.rename(self._path)
        self._loop: asyncio.AbstractEventLoop | None = None

    def silence(self) -> None:
        """Discard the wake-ups so far. Appends from now on wake again."""
        with suppress(BlockingIOError):
            while len(os.read(self._fd, 65536)) == 65536:
                pass

    async def rung(self) -> None:
        """Return when there was an append since `silence`, or after a second; costs no processor time."""
        self._loop = loop = asyncio.get_running_loop()
        ring: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._fd, _set, ring)
        timer = loop.call_later(_LOOK_AGAIN_SECONDS, _set, ring)
        try:
            await ring
        finally:
            timer.cancel()
            if self._fd >= 0:
                loop.remove_reader(self._fd)

    def close(self) -> None:
        """Close and remove the pipe."""
        if self._fd >= 0:
            if self._loop is not None:
                self._loop.remove_reader(self._fd)
            with suppress(FileNotFoundError):
                self._path.unlink()
            os.close(self._fd)
            self._fd = -1


class WakePipes:
    """The appenders' side: the pipes of all consumers."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = str(folder)
        self._clock = clock
        self._pipes: dict[str, int] = {}
        self._listed_at = 0
        self._topics_of: dict[str, frozenset[str]] = {}

    def ring(self, topics: set[str]) -> None:
        """Wake all consumers of `topics`. Never blocks and never fails: a consumer that is not woken polls."""
        with suppress(OSError):
            self._look()
            for name, theirs in self._topics_of.items():
                if not topics.isdisjoint(theirs):
                    self._write(name)

    def _look(self) -> None:
        """List the folder again if it changed. A change within the last seconds may have been followed by one of the
        same time, since a file system's clock is coarse."""
        changed = os.stat(self._folder).st_mtime_ns
        if changed == self._listed_at:
            return
        names = os.listdir(self._folder)
        self._listed_at = changed if self._clock.now_us() * 1000 - changed > _COARSE_NS else 0
        self._topics_of = {name: frozenset(name.rpartition(".")[0].split("+")) for name in names}
        for gone in self._pipes.keys() - set(names):
            os.close(self._pipes.pop(gone))

    def close(self) -> None:
        """Close the pipes."""
        while self._pipes:
            os.close(self._pipes.popitem()[1])

    def _write(self, name: str) -> None:
        path = f"{self._folder}/{name}"
        try:
            fd = self._pipes.get(name)
            if fd is None:
                fd = self._pipes[name] = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.write(fd, b"\0")
        except BlockingIOError:
            return  # full of rings
        except OSError as error:
            # ENXIO, EPIPE: no process has it open for reading, so its consumer is dead.
            if error.errno in (errno.ENXIO, errno.EPIPE):
                with suppress(OSError):
                    os.unlink(path)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
