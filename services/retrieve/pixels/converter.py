"""Frames decoded and rendered by worker processes, within one budget of bytes for the whole process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gantry.common.net import Source
from gantry.services.retrieve.budget import Budget, Unavailable
from gantry.services.retrieve.pixels.image import Image
from gantry.services.retrieve.pixels.look import RenderingParameters
from gantry.services.retrieve.pixels.pool import ConversionFailed, PoolLimits, WorkerPool
from gantry.services.retrieve.pixels.spool import JobSpool

__all__ = ["ConversionFailed", "Converter", "ConverterLimits", "Readable", "Unavailable"]

MAX_FRAME = 1 << 30
MAX_PICTURE = 256 << 20
DECODE = ("gantry.services.retrieve.pixels.decoding", "decode")
RENDER = ("gantry.services.retrieve.pixels.rendering", "render")


@dataclass(frozen=True, slots=True)
class ConverterLimits:
    """`workers` processes; `spooled` is how many bytes of frames, objects and pictures may be in temporary files at
    once; a request waits for its turn at most `patience` seconds."""

    workers: int = 2
    spooled: int = 8 << 30
    patience: float = 60.0
    pool: PoolLimits = field(default_factory=PoolLimits)


@dataclass(frozen=True, slots=True)
class Readable:
    """A source and its length in bytes. The opener closes it."""

    source: Source
    length: int


class Converter:
    """Decodes and renders frames. `client` is the requester: clients take turns."""

    def __init__(self, limits: ConverterLimits | None = None) -> None:
        self.limits = limits or ConverterLimits()
        self.budget = Budget(self.limits.spooled)
        self.pool = WorkerPool(self.limits.workers, self.limits.pool)

    @asynccontextmanager
    async def room(self, size: int) -> AsyncIterator[None]:
        """Room for `size` bytes in temporary files until the block is left. Raises `Unavailable`."""
        async with self.budget.holding(size, self.limits.patience):
            yield

    async def decode(self, image: Image, frame: Readable, out: JobSpool, photometric: str, client: str) -> None:
        """Append the samples of a compressed frame to `out`. The caller has reserved room for both at once: two callers
        with half each would wait for each other. Raises `ConversionFailed` and `Unavailable`."""
        _require(image, frame.length)
        read = await JobSpool.open()
        try:
            await read.copy(frame.source, frame.length)
            await self.pool.run(DECODE, (image.alone, photometric), read, out, client)
        finally:
            read.close()

    async def render(
        self, image: Image, header: Readable, frame: Readable, look: RenderingParameters, number: int, client: str
    ) -> bytes:
        """A picture of frame `number`, whose bytes are `frame`, of the object with this header. Raises
        `ConversionFailed` and `Unavailable`."""
        _require(image, frame.length)
        async with self.room(header.length + frame.length + image.rows * image.columns * 3):
            read, out = await JobSpool.open(), await JobSpool.open()
            try:
                length = await read.copy(header.source, header.length)
                await read.copy(frame.source, frame.length)
                await self.pool.run(RENDER, (image.alone, length, look, number), read, out, client)
                if out.size > MAX_PICTURE:
                    raise ConversionFailed("the picture is too large")
                return await out.read(0, out.size)
            finally:
                read.close()
                out.close()

    async def close(self) -> None:
        """End the workers."""
        await self.pool.close()


def _require(image: Image, length: int) -> None:
    if max(image.most_bytes, image.frame_bytes, length) > MAX_FRAME:
        raise ConversionFailed(f"a frame of {max(image.most_bytes, length)} bytes is too large")
