"""The program of a worker process: one job at a time, with limits, since decoder input may be hostile.

A job is a function of `gantry.services.retrieve.pixels`, by name, and its arguments, with two files: its input and its
output. The answer is JSON, never a pickle: a compromised decoder must not reach the process that asked.
"""

from __future__ import annotations

import json
import mmap
import os
import pickle
import resource
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from struct import Struct
from typing import Any

JOB = Struct("<d")
"""The message of a job: its time limit in seconds. It carries three descriptors: request, input, output."""
MAX_ANSWER = 1 << 16
READY = b"ready"
_LARGE = 64 << 20
_GRACE = 5.0


class CannotDo(Exception):
    """The object is at fault: it cannot be decoded, or not shown correctly. The reason is sent to the requester."""


@dataclass(frozen=True, slots=True)
class Files:
    """The input and the output of a job."""

    input: memoryview
    output: int
    """A descriptor; writes are appended."""

    def write(self, data: bytes | memoryview) -> int:
        """Append to the output. Returns the number of bytes."""
        view = memoryview(data).cast("B")
        length = len(view)
        while view:
            view = view[os.write(self.output, view) :]
        return length


def main(descriptor: int, memory: int) -> None:
    """Serve jobs on a socket until it is closed; `memory` in bytes of address space."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    channel = socket.socket(fileno=descriptor)
    channel.send(READY)
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, JOB.size, 3)
        if not message:
            return
        # If the parent is gone and cannot end a job that hangs, the default action of SIGALRM ends the process.
        signal.setitimer(signal.ITIMER_REAL, JOB.unpack(message)[0] + _GRACE)
        answer = _answer(*descriptors)
        signal.setitimer(signal.ITIMER_REAL, 0)
        channel.send(answer)


def _answer(request: int, read: int, written: int) -> bytes:
    try:
        return json.dumps({"done": _perform(request, read, written)}).encode()
    except CannotDo as error:
        answer = {"cannot": str(error)[:1000]}
    except MemoryError:
        answer = {"cannot": "it needs more memory than a decoder may have"}
    except OSError as error:
        # An error that a decoder raises about bytes that it cannot read has no errno: the system is not its cause.
        answer = {"failed": os.strerror(error.errno)} if error.errno else _not_decoded(error)
    except BaseException as error:
        answer = _not_decoded(error)
    return json.dumps(answer).encode()


def _not_decoded(error: BaseException) -> dict[str, str]:
    """Messages of decoders may quote the object's content: only the type of the error is sent."""
    return {"cannot": f"cannot decode: {type(error).__name__}"}


def _perform(request: int, read: int, written: int) -> Any:
    try:
        with os.fdopen(request, "rb", closefd=False) as file:
            file.seek(0)
            module, name, arguments = pickle.load(file)  # noqa: S301 - from our own parent process
        size = os.fstat(read).st_size
        with mmap.mmap(read, size, prot=mmap.PROT_READ) if size else _empty_map() as mapped:
            view = memoryview(mapped)
            try:
                return getattr(import_module(module), name)(Files(view, written), *arguments)
            finally:
                with suppress(BufferError):  # an array that an exception holds still refers to it
                    view.release()
    finally:
        for descriptor in (request, read, written):
            os.close(descriptor)
        _trim()


def _empty_map() -> mmap.mmap:
    return mmap.mmap(-1, 1)


def _trim() -> None:
    """Return freed memory to the system: the allocator would hold it until the process ends."""
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10 > _LARGE:
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
