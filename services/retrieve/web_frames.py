"""Parts of objects: frames (PS3.18 10.4.1.1.6), bulk data (10.4.1.1.5), pictures and thumbnails (10.4.1.1.3, .4)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

from aiohttp import web

from libs.common.dicom.elements import elements, item_bounds
from libs.common.dicom.syntax import syntax_of
from libs.common.dicom.transfer_syntaxes import Encoding, encoding_of
from libs.common.errors import NotFound
from libs.common.ports.index import Location
from libs.common.web.bodies import Outgoing
from libs.common.web.errors import HttpProblem
from libs.common.web.multipart import closing, content_type, new_boundary, part_head
from libs.common.web.negotiation import OCTETS, Offer, byte_range, choose, etag_matches, parse_accept
from libs.common.web.routes import Match, Resource
from libs.common.web.server import Handler
from libs.common.web.urls import accept_of
from services.retrieve import decoding
from services.retrieve.conversion import ConversionFailed, Converter
from services.retrieve.decoding import Look
from services.retrieve.fragments import FrameFinder
from services.retrieve.images import (
    Image,
    aligned,
    frame_numbers,
    image_of,
    native_range,
    require_frames,
)
from services.retrieve.metadata import Kept
from services.retrieve.reading import Objects
from services.retrieve.representations import frame_form
from services.retrieve.web import Finder, WebSettings
from services.retrieve.web_video import is_video, send_video

_PIXEL_TAGS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_MAX_FRAME = 1 << 30
_CHUNK = 1 << 20
PICTURES = [Offer(kind) for kind in decoding.PICTURES]
BULK = (Offer(OCTETS, multipart=True), Offer(OCTETS))
_THUMBNAIL = (160, 160)
_MOST_SIDE = 16_384
_NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,9})?")
_KEPT_IMAGES = 128


class FrameService:
    """What is asked of one object's inside."""

    def __init__(self, finder: Finder, objects: Objects, converter: Converter, settings: WebSettings) -> None:
        self._finder = finder
        self._objects = objects
        self._finding = FrameFinder(objects)
        self._converter = converter
        self._settings = settings
        self._images: dict[str, Image] = {}
        self._pictures = Kept(16 << 20)

    def handlers(self) -> dict[Resource, Handler]:
        """What the HTTP server is to answer with."""
        return {
            Resource.FRAMES: self.frames,
            Resource.BULK_DATA: self.bulk_data,
            Resource.RENDERED: self.rendered,
            Resource.THUMBNAIL: self.thumbnail,
        }

    # ---- frames

    async def frames(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """The frames of a list, in its order, each read by itself."""
        numbers = frame_numbers(match.frames)
        location = await self._finder.one(match)
        image = await self._image(location)
        require_frames(image, numbers)
        return await self._send_frames(request, location, image, numbers)

    async def _send_frames(
        self, request: web.BaseRequest, location: Location, image: Image, numbers: Sequence[int]
    ) -> web.StreamResponse:
        stored = location.transfer_syntax_uid
        kind, syntax, parts = frame_form(stored, parse_accept(accept_of(request)))
        if not parts and len(numbers) > 1:
            raise HttpProblem(406, "several frames: multipart/related holds them")
        decode = image.encapsulated and syntax != stored
        first = await self._frame(location, image, numbers[0], decode=decode)
        out, boundary = Outgoing(request, self._settings.stall), new_boundary()
        part_type = f"{kind}; transfer-syntax={syntax}"
        whole = {"Content-Type": content_type(boundary, kind)} if parts else {"Content-Type": part_type}
        if not await out.begin(200, whole if parts else {**whole, "Content-Length": str(len(first))}):
            return await out.end()
        for place, number in enumerate(numbers):
            frame = first if not place else await self._frame(location, image, number, decode=decode)
            if parts:
                headers = {"Content-Type": part_type, "Content-Length": str(len(frame))}
                await out.write(part_head(boundary, headers, first=not place))
            await out.write(frame)
        if parts:
            await out.write(closing(boundary))
        return await out.end()

    async def _image(self, location: Location) -> Image:
        """What is known of an object's image; of the last few it is kept, without their headers."""
        image = self._images.pop(location.object_key, None)
        if image is None:
            head = await self._objects.head(location)
            image = image_of(head.header, location.transfer_syntax_uid, head.layout)
        self._images[location.object_key] = image
        while len(self._images) > _KEPT_IMAGES:
            del self._images[next(iter(self._images))]
        return image

    async def _frame(self, location: Location, image: Image, number: int, *, decode: bool = False) -> bytes:
        """One frame as it is stored, or its samples."""
        if not image.encapsulated:
            offset, length, bit = native_range(image, number)
            _require_size(length)
            return aligned(image, await self._objects.read(location, offset, length), bit)
        fragments = (await self._finding.frames(location, image)).of(number)
        begin, end = fragments[0][0], sum(fragments[-1])
        _require_size(end - begin)
        data = await self._objects.read(location, begin, end - begin)
        frame = b"".join([data[at - begin : at - begin + length] for at, length in fragments])
        if not decode:
            return frame
        _require_size(image.frame_bits // 8)
        try:
            return await self._converter.run(decoding.decode, image.alone, frame)
        except ConversionFailed as error:
            raise HttpProblem(406, f"the frame cannot be decoded: {error}") from error

    # ---- bulk data

    async def bulk_data(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """The value at a path of tags and item numbers, whole or a range of it."""
        location = await self._finder.one(match)
        head = await self._objects.head(location)
        tag = _tag(match.rest[0])
        pixels = head.layout.pixel_data
        if len(match.rest) == 1 and pixels is not None and tag == pixels.tag:
            if pixels.length is None:
                image = await self._image(location)
                return await self._send_frames(request, location, image, range(1, image.frames + 1))
            return await self._send_bulk(request, location, pixels.offset, pixels.length)
        for bulk in head.layout.bulk:
            if len(match.rest) == 1 and bulk.tag == tag:
                return await self._send_bulk(request, location, bulk.offset, bulk.length)
        value = value_at(head.header, encoding_of(location.transfer_syntax_uid), match.rest)
        return await self._send_bulk(request, location, 0, len(value), value)

    async def _send_bulk(
        self, request: web.BaseRequest, location: Location, offset: int, length: int, value: bytes | None = None
    ) -> web.StreamResponse:
        offer, _ = choose(parse_accept(accept_of(request)), BULK)
        asked = request.headers.get("Range")
        part = byte_range(asked, length) if asked and not (offer.multipart and _wants_parts(request)) else None
        begin, end = part or (0, length)
        parts = offer.multipart and part is None and _wants_parts(request)
        boundary = new_boundary()
        headers = {"Content-Type": content_type(boundary, OCTETS) if parts else OCTETS, "Accept-Ranges": "bytes"}
        if not parts:
            headers["Content-Length"] = str(end - begin)
        if part is not None:
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{length}"
        out = Outgoing(request, self._settings.stall)
        if not await out.begin(206 if part is not None else 200, headers):
            return await out.end()
        if parts:
            await out.write(part_head(boundary, {"Content-Type": OCTETS, "Content-Length": str(length)}, first=True))
        for at in range(begin, end, _CHUNK):
            size = min(_CHUNK, end - at)
            piece = value[at : at + size] if value is not None else None
            await out.write(piece if piece is not None else await self._objects.read(location, offset + at, size))
        if parts:
            await out.write(closing(boundary))
        return await out.end()

    # ---- pictures

    async def rendered(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """A picture of a frame: of the first, or the one that is named. Of a video, which nobody decodes, the video."""
        if not match.frames:
            location, image = await self._pictured(match)
            if image.encapsulated and is_video(location.transfer_syntax_uid):
                fragments = await self._finding.everything(location, image)
                return await send_video(request, self._objects, location, fragments, self._settings.stall)
        offer, _ = choose(parse_accept(accept_of(request)), PICTURES)
        query = request.query
        look = look_of(query.get("window"), query.get("viewport"), offer.type, query.get("quality"))
        return await self.picture(request, match, look)

    async def thumbnail(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """A small picture; of a study or series, of the first instance that has one."""
        offer, _ = choose(parse_accept(accept_of(request)), PICTURES)
        look = look_of(None, request.query.get("viewport"), offer.type)
        return await self.picture(request, match, replace(look, size=look.size or _THUMBNAIL))

    async def picture(self, request: web.BaseRequest, match: Match, look: Look) -> web.StreamResponse:
        """The picture; 404 where there is nothing to see."""
        number = frame_numbers(match.frames or "1")[0]
        location, image = await self._pictured(match)
        require_frames(image, [number])
        key = f"{location.object_key} {number} {look}"
        etag = f'"{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}"'
        headers = {"ETag": etag, "Cache-Control": "private, max-age=3600", "Vary": "Accept"}
        if etag_matches(request.headers.get("If-None-Match", ""), etag):
            return web.Response(status=304, headers=headers)
        picture = self._pictures.get(key)
        if picture is None:
            _require_size(image.frame_bits // 8)
            frame = await self._frame(location, image, number)
            try:
                picture = await self._converter.run(decoding.render, image.alone, frame, look)
            except ConversionFailed as error:
                raise HttpProblem(406, f"the frame cannot be shown: {error}") from error
            self._pictures.put(key, picture)
        return web.Response(body=picture, headers={**headers, "Content-Type": look.kind})

    async def _pictured(self, match: Match) -> tuple[Location, Image]:
        locations = await self._finder.all(match, most=20)
        for location in locations:
            try:
                image = await self._image(location)
            except HttpProblem:
                if len(locations) == 1:
                    raise
                continue
            return location, image
        raise HttpProblem(404, "there is nothing to see")


def _wants_parts(request: web.BaseRequest) -> bool:
    """In parts where that is asked for, or nothing is; a browser that takes anything gets the bytes."""
    accept = accept_of(request)
    return "multipart" in accept.lower() or not accept


def _require_size(size: int) -> None:
    if size > _MAX_FRAME:
        raise HttpProblem(413, f"a frame of {size} bytes")


def _tag(text: str) -> int:
    if re.fullmatch(r"[0-9A-Fa-f]{8}", text) is None:
        raise HttpProblem(400, "the path of bulk data holds what is no tag")
    return int(text, 16)


def value_at(header: bytes, encoding: Encoding, path: Sequence[str]) -> bytes:
    """The value at a path: tag, then item number (from 1) and tag for each sequence on the way. Raises `NotFound`,
    `HttpProblem` 400, and `NotUnderstood`."""
    if len(path) % 2 == 0 or not all(number.isdigit() and len(number) < 10 for number in path[1::2]):
        raise HttpProblem(400, "the path of bulk data has tags and item numbers by turns")
    within = 0, len(header)
    for at, tag in enumerate(map(_tag, path[::2])):
        found = next(elements(header, encoding, tag, (tag,), within), None)
        if found is None:
            break
        _, vr, start, end = found
        if at == len(path) // 2:
            return header[start:end]
        encoding = Encoding(explicit=False) if vr == b"UN" else encoding
        number = int(path[2 * at + 1])
        items = item_bounds(header, start, end, syntax_of(encoding))
        within = next((one for place, one in enumerate(items, 1) if place == number), (0, 0))
    raise NotFound("no such value")


def look_of(window: str | None, viewport: str | None, kind: str = "image/jpeg", quality: str | None = None) -> Look:
    """PS3.18 8.3.5.1.2 to .4: `quality`, `window=center,width[,function]`, `viewport=columns,rows`."""
    found: tuple[float, float] | None = None
    if window is not None:
        parts = window.split(",")
        if not 2 <= len(parts) <= 3 or not all(_NUMBER.fullmatch(part) for part in parts[:2]):
            raise HttpProblem(400, "window is not CENTER,WIDTH or CENTER,WIDTH,FUNCTION")
        if len(parts) == 3 and parts[2].lower() not in ("linear", "linear_exact"):
            raise HttpProblem(400, "only the linear function is known")
        found = float(parts[0]), float(parts[1])
        if found[1] < 1:
            raise HttpProblem(400, "the width of a window is 1 or more")
    size: tuple[int, int] | None = None
    if viewport is not None:
        sides = viewport.split(",")
        if len(sides) != 2 or not all(side.isascii() and side.isdigit() and len(side) < 6 for side in sides):
            raise HttpProblem(400, "viewport is not COLUMNS,ROWS")
        size = int(sides[0]), int(sides[1])
        if not all(0 < side <= _MOST_SIDE for side in size):
            raise HttpProblem(400, f"a viewport has sides from 1 to {_MOST_SIDE}")
    if quality is None:
        return Look(found, size, kind)
    if not (quality.isascii() and quality.isdigit() and 1 <= int(quality[:4]) <= 100):
        raise HttpProblem(400, "quality is not a number from 1 to 100")
    return Look(found, size, kind, int(quality))
