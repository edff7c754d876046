"""The processes that make small objects durable (`fsync_worker`), and the memory shared with them."""

from __future__ import annotations

import asyncio
import errno
import mmap
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from gantry.common.adapters.files.fsync_worker import ANSWER, LONGEST_REQUEST, REQUEST
from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.blobs import Buffer

SLOT = (1 << 20) + (64 << 10)
"""The largest object that is made durable here, in bytes: a chunk of ingest and its Part 10 head. A multiple of a
block."""

_SLOTS = 48
_BLOCK = 4096
_SCRIPT = Path(__file__).with_name("fsync_worker.py")


class _FsyncWorker:
    """One process and its requests in progress."""

    def __init__(self, memory: int, root: str, direct: bool) -> None:
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.setblocking(False)
        arguments = [str(theirs.fileno()), str(memory), str(SLOT), root, "1" if direct else "0"]
        # A session of its own: Ctrl-C at a terminal must not end it before its current objects are durable.
        self.process = subprocess.Popen(  # noqa: S603 - a script and numbers of ours
            [sys.executable, "-I", "-S", str(_SCRIPT), *arguments],
            pass_fds=(theirs.fileno(), memory),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self.waiting: dict[int, asyncio.Future[None]] = {}


class FsyncPool:
    """A few worker processes. Belongs to the event loop in which it was created; a worker that dies is restarted."""

    def __init__(self, root: str, direct: bool, processes: int) -> None:
        self._root = root
        self._direct = direct
        self._memory = os.memfd_create("gantry-objects", os.MFD_CLOEXEC)
        os.ftruncate(self._memory, _SLOTS * SLOT)
        self._view = memoryview(mmap.mmap(self._memory, _SLOTS * SLOT))
        self._free = list(range(_SLOTS))
        self._wanted: deque[asyncio.Future[int]] = deque()
        self._loop = asyncio.get_running_loop()
        self._fsync_pool: list[_FsyncWorker] = []
        for _ in range(processes):
            self._start()

    async def commit(self, parts: Sequence[Buffer], temp: str, name: str) -> None:
        """Make an object of at most `SLOT` bytes durable; `temp` and `name` are relative to the root. Raises OSError.

        The parts are copied before the first suspension, or once a slot is free."""
        slot = self._free.pop() if self._free else await self._slot()
        try:
            length = self._fill(slot, parts)
            future = self._send(slot, REQUEST.pack(slot, length) + f"{temp}\0{name}".encode("ascii"))
        except BaseException:
            self._release(slot)
            raise
        # The answer releases the slot, not the caller, which may be cancelled.
        await future

    def _send(self, slot: int, request: bytes) -> asyncio.Future[None]:
        """Send a request to the least busy process. If a process has died unnoticed, another one takes it."""
        for _ in range(len(self._fsync_pool) + 1):
            worker = min(self._fsync_pool, key=lambda s: len(s.waiting))
            future: asyncio.Future[None] = self._loop.create_future()
            worker.waiting[slot] = future
            try:
                worker.sock.send(request)
            except OSError as error:
                del worker.waiting[slot]
                if not isinstance(error, ConnectionError):
                    raise OSError(errno.EIO, "fsync worker is away") from error
                self._died(worker)
            else:
                return future
        raise OSError(errno.EIO, "fsync workers are away")

    def close(self) -> None:
        """End the processes; their callers have awaited all requests."""
        for worker in self._fsync_pool:
            self._loop.remove_reader(worker.sock.fileno())
            worker.sock.close()
        for worker in self._fsync_pool:
            worker.process.wait()
        self._fsync_pool.clear()
        os.close(self._memory)

    def _start(self) -> None:
        worker = _FsyncWorker(self._memory, self._root, self._direct)
        self._fsync_pool.append(worker)
        self._loop.add_reader(worker.sock.fileno(), self._answered, worker)

    async def _slot(self) -> int:
        future: asyncio.Future[int] = self._loop.create_future()
        self._wanted.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._release(future.result())  # assigned to a caller that was cancelled before it took the slot
            raise

    def _release(self, slot: int) -> None:
        while self._wanted:
            wanted = self._wanted.popleft()
            if not wanted.done():
                wanted.set_result(slot)
                return
        self._free.append(slot)

    def _fill(self, slot: int, parts: Sequence[Buffer]) -> int:
        view, pos = self._view, slot * SLOT
        start = pos
        for part in parts:
            data = memoryview(part).cast("B")
            view[pos : pos + len(data)] = data
            pos += len(data)
        length = pos - start
        # The last block is written whole; it must not contain bytes of another patient's object.
        view[pos : start + -(-length // _BLOCK) * _BLOCK] = bytes(-length % _BLOCK)
        return length

    def _answered(self, worker: _FsyncWorker) -> None:
        try:
            answers = worker.sock.recv(LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            answers = b""
        if not answers:
            self._died(worker)
            return
        for slot, number in ANSWER.iter_unpack(answers):
            future = worker.waiting.pop(slot)
            self._release(slot)
            if future.done():
                continue
            if number:
                future.set_exception(OSError(number, os.strerror(number)))
            else:
                future.set_result(None)

    def _died(self, worker: _FsyncWorker) -> None:
        """A worker died (out of memory, or killed): its objects were not acknowledged, and are not acknowledged now."""
        self._loop.remove_reader(worker.sock.fileno())
        worker.sock.close()
        self._fsync_pool.remove(worker)
        self._start()
        for slot, future in worker.waiting.items():
            self._release(slot)
            if not future.done():
                future.set_exception(DependencyUnavailable("object store", "a process that writes objects ended"))
        worker.process.poll()
