"""Frames opened for sending: as they are stored, as native samples in little endian, or decoded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from gantry.common.net import Source
from gantry.common.ports.index import Location
from gantry.services.retrieve.pixels.codecs import frame_photometric
from gantry.services.retrieve.pixels.converter import Converter, Readable
from gantry.services.retrieve.pixels.frame_finder import FrameFinder
from gantry.services.retrieve.pixels.image import Image, image_of, native_frame
from gantry.services.retrieve.pixels.spool import JobSpool, SpoolSource
from gantry.services.retrieve.reading import Objects
from gantry.services.retrieve.sources import (
    BitsSource,
    BytesSource,
    FragmentsSource,
    JoinedSource,
    LimitedSource,
    Positioned,
    SwappedSource,
    pass_over,
)

_KEPT_IMAGES = 128


@dataclass(frozen=True, slots=True)
class Pictured:
    """The image of an object: its attributes, the length of the header, and the elements after the pixel data."""

    image: Image
    header_length: int
    tail: bytes


class FrameReader:
    """Opens frames of objects that were found intact (`Objects.open_checked`)."""

    def __init__(self, objects: Objects, frames: FrameFinder, converter: Converter) -> None:
        self._objects = objects
        self._frames = frames
        self._converter = converter
        self._images: dict[str, Pictured] = {}

    async def pictured(self, location: Location) -> Pictured:
        """The image of an object, cached without its header for the last few objects. Raises `NoImage`, `Damaged`."""
        picture = self._images.pop(location.object_key, None)
        if picture is None:
            head = await self._objects.head(location)
            image = image_of(head.header, location.transfer_syntax_uid, head.layout)
            picture = Pictured(image, head.layout.header_length, head.tail)
        self._images[location.object_key] = picture
        while len(self._images) > _KEPT_IMAGES:
            del self._images[next(iter(self._images))]
        return picture

    @asynccontextmanager
    async def stored(self, location: Location, image: Image, number: int) -> AsyncIterator[Readable]:
        """A frame as it is stored; of native pixel data in little endian, from its first bit on (PS3.5 8.1.1). Raises
        `NoFrame`, `Damaged`."""
        source, length = await (self._encapsulated if image.encapsulated else self._native)(location, image, number)
        try:
            yield Readable(source, length)
        finally:
            await source.close()

    async def _encapsulated(self, location: Location, image: Image, number: int) -> tuple[Source, int]:
        fragments = (await self._frames.frames(location, image)).of(number)
        begin, end = fragments[0][0], sum(fragments[-1])
        reader = await self._objects.open_checked(location, begin, end - begin)
        moved = [(offset - begin, length) for offset, length in fragments]
        return _Owning(FragmentsSource(Positioned(reader), moved), reader), sum(length for _, length in fragments)

    async def _native(self, location: Location, image: Image, number: int) -> tuple[Source, int]:
        frame = native_frame(image, number)
        reader = await self._objects.open_checked(location, frame.offset, frame.length)
        try:
            turned: Source = SwappedSource(reader, frame.swap) if frame.swap > 1 else reader
            await pass_over(turned, frame.skip)
        except BaseException:
            await reader.close()
            raise
        limited: Source = LimitedSource(turned, image.frame_bytes)
        if image.frame_bits % 8 or frame.bit:
            limited = BitsSource(turned, frame.bit, image.frame_bits)
        return _Owning(limited, reader), image.frame_bytes

    @asynccontextmanager
    async def decoded(self, location: Location, image: Image, number: int, client: str) -> AsyncIterator[Readable]:
        """The samples of a compressed frame, in the photometric interpretation and planar configuration that the
        metadata state (docs/decisions/0014). Raises `ConversionFailed`, `Unavailable`, `NoFrame`, `Damaged`."""
        photometric = frame_photometric(image)
        length = replace(image, photometric=photometric).frame_bytes
        async with self.stored(location, image, number) as frame, self._converter.room(length + frame.length):
            spool = await JobSpool.open()
            try:
                await self._converter.decode(image, frame, spool, photometric, client)
                yield Readable(SpoolSource(spool), spool.size)
            finally:
                spool.close()

    @asynccontextmanager
    async def header(self, location: Location, pictured: Pictured) -> AsyncIterator[Readable]:
        """All elements except the pixel data, with their values. Raises `Damaged`."""
        reader = await self._objects.open(location, 0, pictured.header_length)
        try:
            tail = BytesSource(pictured.tail)
            yield Readable(JoinedSource([reader, tail]), pictured.header_length + len(pictured.tail))
        finally:
            await reader.close()


class _Owning:
    """A source that also closes the one below it."""

    def __init__(self, source: Source, below: Source) -> None:
        self.readinto = source.readinto
        self._below = below

    async def close(self) -> None:
        await self._below.close()
