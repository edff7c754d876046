"""The processes in which blocks are coded: a codec blocks the interpreter while it works, and must not stop other
work."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import Any
from zlib import crc32

import msgpack

from gantry.common.dicom.packing.cutting import Cut
from gantry.common.dicom.packing.form import Block, Coding
from gantry.common.errors import Corrupt, DependencyUnavailable
from gantry.common.runtime.packed.worker import LENGTH, MOST
from gantry.common.telemetry.logs import get_logger

_MODULE = "gantry.common.runtime.packed.worker"
_DEADLINE = 60.0
"""Seconds for one block, including the start of a process: a block takes some hundredths."""
_ATTEMPTS = 2
_DEPENDENCY = "codec process"
logger = get_logger("packing")


class _Ended(Exception):
    """A worker ended, or was ended, while it worked."""


class BlockWorkers:
    """Up to `processes` of them, started when they are first needed. Belongs to the event loop that uses it first."""

    def __init__(self, processes: int = 2) -> None:
        self._turns = asyncio.Semaphore(processes)
        self._idle: list[Process] = []
        self._busy: set[Process] = set()
        self._closed = False

    async def pack(self, cut: Cut) -> tuple[Block, bytes]:
        """The stored form of a block (`gantry.common.dicom.packing.coding.pack`). Raises `DependencyUnavailable`."""
        (coding, *others), stored = await self._ask("pack", cut.data, cut.strip or ())
        return Block(Coding(coding), *others), stored

    async def unpack(self, block: Block, stored: bytes) -> bytes:
        """The bytes of a block. Raises `Corrupt`, `DependencyUnavailable`."""
        if block.coding is Coding.PLAIN:
            if crc32(stored) != block.checksum:
                raise Corrupt("a packed block is damaged")
            return stored
        error, data = await self._ask("unpack", stored, block)
        if error is not None:
            raise Corrupt(error)
        return bytes(data)

    async def close(self) -> None:
        """End the processes. Their current jobs fail."""
        self._closed = True
        for process in (*self._busy, *self._idle):
            await _end(process)
        self._idle.clear()

    async def _ask(self, operation: str, data: bytes, numbers: tuple[int, ...]) -> Any:
        request = msgpack.packb([operation, data, numbers])
        async with self._turns:
            for attempt in range(_ATTEMPTS):
                if self._closed:
                    break
                try:
                    return msgpack.unpackb(await self._once(request))
                except _Ended as error:
                    logger.warning("codec process ended", reason=str(error), attempt=attempt + 1)
        raise DependencyUnavailable(_DEPENDENCY, "closed" if self._closed else "it ended twice")

    async def _once(self, request: bytes) -> bytes:
        process = await self._process()
        self._busy.add(process)
        try:
            async with asyncio.timeout(_DEADLINE):
                answer = await _exchange(process, request)
        except BaseException as error:
            # Also if the caller gave up: the worker's answer would have no receiver.
            await _end(process)
            if isinstance(error, (OSError, EOFError, TimeoutError)):
                raise _Ended(f"{type(error).__name__}, exit code {process.returncode}") from error
            raise
        finally:
            self._busy.discard(process)
        self._idle.append(process)
        return answer

    async def _process(self) -> Process:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
        environment = {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "OPENBLAS_NUM_THREADS": "1",
            **{name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "HOME") if name in os.environ},
        }
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", _MODULE, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=MOST, env=environment
            )
        except OSError as error:
            raise DependencyUnavailable(_DEPENDENCY, os.strerror(error.errno or 0)) from error


async def _exchange(process: Process, request: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(LENGTH.pack(len(request)))
    process.stdin.write(request)
    await process.stdin.drain()
    length = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))[0]
    return await process.stdout.readexactly(length)


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await asyncio.shield(process.wait())
