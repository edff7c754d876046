"""Objects opened for sending: as they are stored, corrected, rewritten in another encoding, or decompressed.

Every object that is sent whole is verified: before its first byte if it is small, deflated or decompressed, else before
its last one (docs/decisions/0013).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.scan.layout import Layout
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, encoding_of
from gantry.common.errors import NotUnderstood, TooLarge
from gantry.common.net import Source
from gantry.common.ports.index import Location
from gantry.services.retrieve.corrections import NO_TAIL, corrected_behind, corrected_parts
from gantry.services.retrieve.pixels.codecs import object_photometric
from gantry.services.retrieve.pixels.converter import ConversionFailed, Converter, Readable
from gantry.services.retrieve.pixels.frame_finder import FrameFinder
from gantry.services.retrieve.pixels.frames import Frames
from gantry.services.retrieve.pixels.image import Image, NoFrame, NoImage, image_of
from gantry.services.retrieve.pixels.spool import JobSpool, SpoolSource
from gantry.services.retrieve.reading import Objects, pixels_end
from gantry.services.retrieve.recoding import Recoding, Step, copying, decoding, recoding
from gantry.services.retrieve.sources import (
    BytesSource,
    DeflatedSource,
    FragmentsSource,
    InflatedSource,
    JoinedSource,
    LimitedSource,
    Positioned,
    SwappedSource,
    deflated_length,
    pass_over,
)


@dataclass(frozen=True, slots=True)
class Opened:
    """`size` bytes of a data set or a Part 10 object in a transfer syntax. The holder closes the source."""

    location: Location
    syntax: str
    size: int
    source: Source


class Openings:
    """Opens objects in the requested transfer syntax."""

    def __init__(self, objects: Objects, converter: Converter, frames: FrameFinder) -> None:
        self.objects = objects
        self.converter = converter
        self._frames = frames

    async def part10(self, location: Location, syntax: str, client: str, *, ahead: bool = False) -> Opened:
        """The object as a Part 10 file; `ahead` of its turn it does not wait for room. Raises the errors of
        `data_set`."""
        # The file meta information of a coerced object says what was coerced (PS3.10 7.1, Private Information), which
        # must not be sent.
        if syntax == location.transfer_syntax_uid and not location.is_modified and location.coercion is None:
            size = location.data_set_offset + location.data_set_length
            return Opened(location, syntax, size, await self.objects.verified_file(location))
        opened = await self.data_set(location, syntax, client, ahead=ahead)
        meta = file_meta(location.sop_class_uid, location.sop_instance_uid, syntax)
        joined = JoinedSource([BytesSource(meta), opened.source])
        return Opened(location, syntax, len(meta) + opened.size, joined)

    async def data_set(self, location: Location, syntax: str, client: str, *, ahead: bool = False) -> Opened:
        """The data set. Raises `ConversionFailed` if the object cannot be converted to `syntax`, `Unavailable` if it
        cannot be converted now, and `Damaged`."""
        stored = location.transfer_syntax_uid
        if syntax == stored and not location.is_modified:
            source = await self.objects.verified(location)
            return Opened(location, syntax, location.data_set_length, source)
        try:
            if encoding_of(stored).deflated:
                return await self._inflated(location, syntax)
            if syntax == stored:
                return await self._copied(location)
            if encoding_of(stored).encapsulated:
                return await self._decoded(location, syntax, client, ahead)
            return await self._rewritten(location, syntax)
        except (NotUnderstood, TooLarge, NoImage, NoFrame) as error:
            raise ConversionFailed(str(error)) from error

    async def _copied(self, location: Location) -> Opened:
        """The object in its own encoding, with its header corrected."""
        layout = await self.objects.layout(location)
        header = corrected_parts(location, await self.objects.pieces(location, layout))
        tail = corrected_behind(location, await self.objects.tail(location, layout), header) if header.was else NO_TAIL
        plan = copying(layout, header.parts, tail, location.data_set_length)
        return await self._planned(location, location.transfer_syntax_uid, plan)

    async def _rewritten(self, location: Location, syntax: str) -> Opened:
        layout = await self.objects.layout(location)
        header = corrected_parts(location, await self.objects.pieces(location, layout))
        gap = await self._gap(location, layout)
        tail = corrected_behind(location, await self.objects.tail(location, layout), header)
        plan = recoding(location.transfer_syntax_uid, syntax, layout, header.parts, gap, tail)
        return await self._planned(location, syntax, plan)

    async def _planned(self, location: Location, syntax: str, plan: Recoding) -> Opened:
        source = await self.objects.verified(location)
        if plan.ends_unseen:
            await pass_over(source, location.data_set_length)
            await source.close()
            source = await self.objects.verified(location)
        return Opened(location, syntax, plan.length, RecodedSource(source, plan.steps))

    async def _gap(self, location: Location, layout: Layout) -> bytes:
        pixels = layout.pixel_data
        if pixels is None:
            return b""
        return await self.objects.read(location, layout.header_length, pixels.offset - layout.header_length)

    async def _inflated(self, location: Location, syntax: str) -> Opened:
        """Read twice: the first pass verifies the object and counts its inflated length; nothing is held in memory."""
        length = await self._inflated_length(location)
        if syntax == EXPLICIT_LITTLE_ENDIAN and not location.is_modified:
            return Opened(location, syntax, length, InflatedSource(await self.objects.verified(location)))
        layout = await self.objects.layout(location)
        pieces, behind = await self.objects.inflated_parts(location, layout)
        header = corrected_parts(location, pieces)
        tail = corrected_behind(location, behind, header)
        if syntax in (EXPLICIT_LITTLE_ENDIAN, location.transfer_syntax_uid):
            plan = copying(layout, header.parts, tail if header.was else NO_TAIL, length)
        else:
            gap = b"" if layout.pixel_data is None else await self._gap(location, layout)
            plan = recoding(location.transfer_syntax_uid, syntax, layout, header.parts, gap, tail)
        source = RecodedSource(InflatedSource(await self.objects.verified(location)), plan.steps)
        if syntax != location.transfer_syntax_uid:
            return Opened(location, syntax, plan.length, source)
        return Opened(location, syntax, deflated_length(plan.length), DeflatedSource(source, plan.length))

    async def _inflated_length(self, location: Location) -> int:
        source = InflatedSource(await self.objects.verified(location))
        buffer, length = memoryview(bytearray(1 << 18)), 0
        try:
            while count := await source.readinto([buffer]):
                length += count
            await source.drain()
            return length
        finally:
            await source.close()

    # ---- decompressed

    async def _decoded(self, location: Location, syntax: str, client: str, ahead: bool) -> Opened:
        layout = await self.objects.layout(location)
        if layout.pixel_data is None or layout.pixel_data.length is not None:
            return await self._rewritten(location, syntax)
        head = await self.objects.head(location)
        image = image_of(head.header, location.transfer_syntax_uid, layout)
        header = corrected_parts(location, await self.objects.pieces(location, layout))
        gap = await self._gap(location, layout)
        tail = corrected_behind(location, await self.objects.tail(location, layout), header)
        photometric = object_photometric(image)
        length = _native(image, photometric).frame_bytes * image.frames
        plan = decoding(location.transfer_syntax_uid, syntax, layout, header.parts, gap, tail, length, photometric)
        frames = await self._frames.frames(location, image)
        largest = max(sum(size for _, size in frames.of(number)) for number in range(1, image.frames + 1))
        limits, budget = self.converter.limits, self.converter.budget
        if length + largest > limits.spooled:
            raise ConversionFailed(f"decoded it is {length} bytes, which is more than may be spooled")
        if ahead:
            budget.take_spare(length + largest)
        else:
            await budget.wait(length + largest, limits.patience)
        try:
            spool = await self._spooled(location, image, frames, photometric, length, client)
        except BaseException:
            budget.give_back(length + largest)
            raise
        budget.give_back(largest)
        source = await self._with_bulk(location, layout, plan, _Spooled(spool, self.converter, length))
        return Opened(location, syntax, plan.length, source)

    async def _spooled(
        self, location: Location, image: Image, frames: Frames, photometric: str, length: int, client: str
    ) -> JobSpool:
        """All frames, decoded. The object is read once, from its first byte to its last, and verified on the way."""
        reader = Positioned(await self.objects.verified(location))
        spool = await JobSpool.open()
        try:
            for number in range(1, image.frames + 1):
                fragments = frames.of(number)
                frame = Readable(FragmentsSource(reader, fragments), sum(size for _, size in fragments))
                await self.converter.decode(image, frame, spool, photometric, client)
            await reader.go_to(location.data_set_length)
            if spool.size != length:
                raise ConversionFailed("decoded frames are not as long as the object says")
            return spool
        except BaseException:
            spool.close()
            raise
        finally:
            await reader.close()

    async def _with_bulk(self, location: Location, layout: Layout, plan: Recoding, pixels: Source) -> Source:
        """The rewritten bytes of `plan`, the long header values from the store, and the frames."""
        sources: list[Source] = []
        at = 0
        for step in plan.steps:
            at += step.skip
            sources.append(BytesSource(step.put))
            if step.copy:
                sources.append(await self.objects.open(location, at, step.copy))
                at += step.copy
            if step.pixels:
                sources.append(pixels)
                at = pixels_end(layout)
        return JoinedSource(sources)


def _native(image: Image, photometric: str) -> Image:
    """The image as its decoded frames have it."""
    return replace(image, photometric=photometric)


class _Spooled(SpoolSource):
    """Decoded frames in a spool; closing it releases their room."""

    def __init__(self, spool: JobSpool, converter: Converter, room: int) -> None:
        super().__init__(spool)
        self._converter = converter
        self._room = room

    async def close(self) -> None:
        await super().close()
        room, self._room = self._room, 0
        if room:
            self._converter.budget.give_back(room)


class RecodedSource:
    """The steps of a recoding over the data set as it is stored."""

    def __init__(self, source: Source, steps: Sequence[Step]) -> None:
        self._source = source
        self._steps = list(steps)
        self._part: Source = BytesSource(b"")

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """Fill the buffers in order; 0 at the end."""
        done = 0
        for whole in buffers:
            buffer = whole
            while buffer:
                count = await self._part.readinto([buffer])
                if not count and not await self._next():
                    return done
                buffer, done = buffer[count:], done + count
        return done

    async def _next(self) -> bool:
        if not self._steps:
            return False
        step = self._steps.pop(0)
        await pass_over(self._source, step.skip)
        copied: Source = LimitedSource(self._source, step.copy)
        if step.width > 1:
            copied = SwappedSource(copied, step.width)
        self._part = JoinedSource([BytesSource(step.put), copied])
        return True

    async def close(self) -> None:
        """Close the underlying source."""
        await self._source.close()
