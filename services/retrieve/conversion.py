"""An object in another transfer syntax: uncompressed Little Endian forms into each other, compressed into uncompressed.

Runs in worker processes, since decoders are hostile ground (crashes, endless loops, bombs): a worker that dies or takes
too long costs one sub-operation. The decoders are pydicom's (pylibjpeg, pyjpegls).
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from io import BytesIO
from typing import TypeVarTuple

from libs.common.dicom.part10 import parse_meta
from libs.common.errors import GantryError

_MEMORY = 4 << 30
Arguments = TypeVarTuple("Arguments")


class ConversionFailed(GantryError):
    """The object cannot be had in that transfer syntax."""


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def convert(part10: bytes, transfer_syntax: str) -> bytes:
    """The data set of a Part 10 object in `transfer_syntax`, an uncompressed Little Endian one. Raises anything."""
    import pydicom
    from pydicom.uid import UID

    ds = pydicom.dcmread(BytesIO(part10), force=False)
    if UID(ds.file_meta.TransferSyntaxUID).is_compressed and "PixelData" in ds:
        # PS3.5 8.2: the samples are those that the codestream gives; the instance keeps its UID.
        ds.decompress(generate_instance_uid=False)
    ds.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    out = BytesIO()
    pydicom.dcmwrite(out, ds, enforce_file_format=True)
    converted = out.getvalue()
    return converted[parse_meta(converted).data_set_offset :]


class Converter:
    """A pool of worker processes, started when it is first needed."""

    def __init__(self, workers: int = 2, deadline: float = 120.0, max_size: int = 1 << 30) -> None:
        self._workers = workers
        self._deadline = deadline
        self._max_size = max_size
        self._pool: ProcessPoolExecutor | None = None

    async def convert(self, part10: bytes, transfer_syntax: str) -> bytes:
        """`convert` in a worker; raises `ConversionFailed`."""
        if len(part10) > self._max_size:
            raise ConversionFailed(f"object of {len(part10)} bytes is too large to convert")
        return await self.run(convert, part10, transfer_syntax)

    async def run(self, work: Callable[[*Arguments], bytes], *arguments: *Arguments) -> bytes:
        """Work of this kind in a worker; raises `ConversionFailed`."""
        if self._pool is None:
            context = multiprocessing.get_context("forkserver")
            self._pool = ProcessPoolExecutor(self._workers, mp_context=context, initializer=_limit)
        pool = self._pool
        try:
            working = asyncio.get_running_loop().run_in_executor(pool, work, *arguments)
            return await asyncio.wait_for(working, self._deadline)
        except (BrokenProcessPool, TimeoutError) as error:
            # A decoder crashed or hangs: only new processes get rid of it.
            if self._pool is pool:
                self._pool = None
            self._end(pool)
            raise ConversionFailed(f"decoder ended badly: {type(error).__name__}") from error
        except Exception as error:
            raise ConversionFailed(f"cannot decode: {type(error).__name__}") from error

    @staticmethod
    def _end(pool: ProcessPoolExecutor) -> None:
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)

    async def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._end(self._pool)
            self._pool = None


class BytesSource:
    """A data set in memory as a `Source`."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        done = 0
        for buffer in buffers:
            part = self._data[: len(buffer)]
            if not part:
                break
            buffer[: len(part)] = part
            self._data = self._data[len(part) :]
            done += len(part)
        return done

    async def close(self) -> None:
        self._data = memoryview(b"")
