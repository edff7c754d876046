"""Bulk data (PS3.18 10.4.1.1.5): every value that the metadata refer to by URI, whole or a range of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aiohttp import web

from gantry.common.dicom.encoding.elements import elements, item_bounds
from gantry.common.dicom.encoding.rewriting import WIDTHS, swapped
from gantry.common.dicom.encoding.syntax import syntax_of
from gantry.common.dicom.standard.transfer_syntaxes import GE_PRIVATE, Encoding, encoding_of
from gantry.common.errors import NotFound
from gantry.common.net import Source
from gantry.common.ports.index import Location
from gantry.common.web.bodies import BodyWriter
from gantry.common.web.errors import HttpProblem
from gantry.common.web.multipart import closing, content_type, new_boundary, part_head
from gantry.common.web.negotiation import OCTETS, Offer, choose, parse_accept, requested_range
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import Handler
from gantry.common.web.urls import accept_of
from gantry.services.retrieve.dicomweb.errors import as_problems
from gantry.services.retrieve.dicomweb.frames import FrameService, send
from gantry.services.retrieve.dicomweb.objects import InstanceFinder, WebSettings
from gantry.services.retrieve.dicomweb.representations import media_type_of
from gantry.services.retrieve.pixels.converter import Readable
from gantry.services.retrieve.pixels.frame_finder import FrameFinder
from gantry.services.retrieve.pixels.image import Image, NoFrame, NoImage
from gantry.services.retrieve.reading import ObjectHead, Objects
from gantry.services.retrieve.sources import BytesSource, LimitedSource, SwappedSource, pass_over

BULK = (Offer(OCTETS, multipart=True), Offer(OCTETS))


class BulkService:
    """Retrieves single bulk values."""

    def __init__(
        self,
        finder: InstanceFinder,
        objects: Objects,
        frame_finder: FrameFinder,
        frames: FrameService,
        settings: WebSettings,
    ) -> None:
        self._finder = finder
        self._objects = objects
        self._frame_finder = frame_finder
        self._frames = frames
        self._settings = settings

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {Resource.BULK_DATA: self.bulk_data}

    async def bulk_data(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """The value at a path of tags and item numbers, in little endian."""
        location, tag = await self._finder.instance(match), _tag(match.rest[0])
        with as_problems():
            known = await self._known(location, tag) if len(match.rest) == 1 else None
            if known is not None:
                return await self._stored(request, location, *known, width=1)
            head = await self._objects.head(location)
        pixels = head.layout.pixel_data
        if len(match.rest) == 1:
            if pixels is not None and tag == pixels.tag:
                return await self._pixels(request, location, head)
            # Of several elements with the same tag, the metadata refer to the last.
            for bulk in reversed(head.layout.bulk):
                if bulk.tag == tag:
                    width = WIDTHS.get(bulk.vr.encode("ascii", "replace"), 1)
                    return await self._stored(request, location, bulk.offset, bulk.length, width)
        encoding = encoding_of(location.transfer_syntax_uid)
        value, vr, written = value_at(head.header, encoding, match.rest)
        turned = swapped(value, WIDTHS.get(vr, 1)) if written.big_endian else value
        return await self._send(request, _InMemory(turned), len(turned))

    async def _known(self, location: Location, tag: int) -> tuple[int, int] | None:
        """Where a value is, if the layout alone shows it: reading the header of a deflated object means inflating
        it."""
        if _is_big(location):
            return None
        layout = await self._objects.layout(location)
        pixels = layout.pixel_data
        if pixels is not None and pixels.tag == tag:
            return None if pixels.length is None else (pixels.offset, pixels.length)
        return next(((bulk.offset, bulk.length) for bulk in reversed(layout.bulk) if bulk.tag == tag), None)

    async def _pixels(self, request: web.BaseRequest, location: Location, head: ObjectHead) -> web.StreamResponse:
        pixels = head.layout.pixel_data
        assert pixels is not None
        try:
            image: Image | None = await self._frames.image(location)
        except NoImage:
            image = None
        if pixels.length is not None:
            width = image.swap if image is not None else WIDTHS.get(pixels.vr.encode("ascii"), 1)
            return await self._stored(request, location, pixels.offset, pixels.length, width)
        if image is None:
            raise HttpProblem(422, "the image attributes of the object contradict each other")
        try:
            await self._frame_finder.frames(location, image)
        except NoFrame:
            return await self._fragments(request, location, image)
        return await self._frames.send_frames(request, location, image, range(1, image.frames + 1))

    async def _fragments(self, request: web.BaseRequest, location: Location, image: Image) -> web.StreamResponse:
        """A video, or frames whose boundaries are unknown: each fragment as it is, so that nothing is lost."""
        with as_problems():
            fragments = await self._frame_finder.everything(location, image)
            await self._objects.check(location)  # while the answer can still say what is wrong
        stored = location.transfer_syntax_uid
        out, boundary = BodyWriter(request, self._settings.stall), new_boundary()
        kind = f"{media_type_of(stored)}; transfer-syntax={stored}"
        if await out.begin(200, {"Content-Type": content_type(boundary, media_type_of(stored))}):
            for place, (offset, length) in enumerate(fragments):
                source = await self._objects.open_checked(location, offset, length)
                try:
                    headers = {"Content-Type": kind, "Content-Length": str(length)}
                    await out.write(part_head(boundary, headers, first=not place))
                    await send(out, Readable(source, length))
                finally:
                    await source.close()
            await out.write(closing(boundary))
        return await out.end()

    async def _stored(
        self, request: web.BaseRequest, location: Location, offset: int, length: int, width: int
    ) -> web.StreamResponse:
        value = _Stored(self._objects, location, offset, length, width if _is_big(location) else 1)
        return await self._send(request, value, length)

    async def _send(self, request: web.BaseRequest, value: _Stored | _InMemory, length: int) -> web.StreamResponse:
        offer, _ = choose(parse_accept(accept_of(request)), BULK)
        parts = offer.multipart and _wants_parts(request)
        part = None if parts else requested_range(request.headers, length)
        begin, end = part or (0, length)
        boundary = new_boundary()
        headers = {"Content-Type": content_type(boundary, OCTETS) if parts else OCTETS, "Accept-Ranges": "bytes"}
        if not parts:
            headers["Content-Length"] = str(end - begin)
        if part is not None:
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{length}"
        with as_problems():
            source = await value.open(begin, end)
        try:
            out = BodyWriter(request, self._settings.stall)
            if await out.begin(206 if part is not None else 200, headers):
                if parts:
                    inner = {"Content-Type": OCTETS, "Content-Length": str(length)}
                    await out.write(part_head(boundary, inner, first=True))
                await send(out, Readable(source, end - begin))
                if parts:
                    await out.write(closing(boundary))
            return await out.end()
        finally:
            await source.close()


def _is_big(location: Location) -> bool:
    """Whether all numbers, or those of the pixel data, are in big endian."""
    return encoding_of(location.transfer_syntax_uid).big_endian or location.transfer_syntax_uid == GE_PRIVATE


class _InMemory:
    """A short value."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    async def open(self, begin: int, end: int) -> Source:
        """The bytes from `begin` to `end`."""
        return BytesSource(self._value[begin:end])


class _Stored:
    """A value in the object store, swapped in numbers of `width` bytes."""

    def __init__(self, objects: Objects, location: Location, offset: int, length: int, width: int) -> None:
        self._objects = objects
        self._location = location
        self._offset = offset
        self._length = length
        self._width = width

    async def open(self, begin: int, end: int) -> Source:
        """The bytes from `begin` to `end`, which may be within a number. Raises `Damaged`."""
        first = begin - begin % self._width
        stop = min(self._length, end + -end % self._width)
        source = await self._objects.open_checked(self._location, self._offset + first, stop - first)
        if self._width == 1:
            return source
        turned = SwappedSource(source, self._width)
        await pass_over(turned, begin - first)
        return _Owned(LimitedSource(turned, end - begin), source)


class _Owned:
    def __init__(self, source: Source, below: Source) -> None:
        self.readinto = source.readinto
        self._below = below

    async def close(self) -> None:
        await self._below.close()


def _wants_parts(request: web.BaseRequest) -> bool:
    """Whether to answer in parts: if the client asks for multipart or sends no Accept; `*/*` gets the bytes."""
    accept = accept_of(request)
    return "multipart" in accept.lower() or not accept


def _tag(text: str) -> int:
    if re.fullmatch(r"[0-9A-Fa-f]{8}", text) is None:
        raise HttpProblem(400, "the path of bulk data has an entry that is not a tag")
    return int(text, 16)


_ITEM_NUMBER = re.compile("[0-9]{1,9}")
"""`isdigit` accepts characters that `int` does not, such as a superscript."""


def value_at(header: bytes, encoding: Encoding, path: Sequence[str]) -> tuple[bytes, bytes, Encoding]:
    """The value at a path, its VR and its encoding. The path is a tag, then item number (from 1) and tag for each
    sequence on the way. Elements may be in any order; of several with the same tag the last counts, as in the metadata.
    Raises `NotFound`, `HttpProblem` 400, and `NotUnderstood`."""
    if len(path) % 2 == 0 or not all(_ITEM_NUMBER.fullmatch(number) for number in path[1::2]):
        raise HttpProblem(400, "the path of bulk data must alternate tags and item numbers")
    within = 0, len(header)
    for at, tag in enumerate(map(_tag, path[::2])):
        match = None
        for element in elements(header, encoding, wanted=(tag,), within=within):
            match = element
        if match is None:
            break
        _, vr, start, end = match
        if at == len(path) // 2:
            return header[start:end], vr, encoding
        encoding = Encoding(explicit=False) if vr == b"UN" else encoding
        number = int(path[2 * at + 1])
        items = item_bounds(header, start, end, syntax_of(encoding))
        within = next((span for place, span in enumerate(items, 1) if place == number), (0, 0))
    raise NotFound("no such value")
