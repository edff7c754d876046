"""Frames (PS3.18 10.4.1.1.6) and pictures (10.4.1.1.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AsyncExitStack

from aiohttp import web

from gantry.common.ports.index import Location
from gantry.common.web.bodies import BodyWriter
from gantry.common.web.callers import picture_caching
from gantry.common.web.errors import HttpProblem
from gantry.common.web.multipart import closing, content_type, new_boundary, part_head
from gantry.common.web.negotiation import Offer, is_known, parse_accept
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import Handler
from gantry.common.web.urls import accept_of
from gantry.services.retrieve.damage import Damaged
from gantry.services.retrieve.dicomweb.errors import as_bad_request, as_problems
from gantry.services.retrieve.dicomweb.metadata import DocumentCache
from gantry.services.retrieve.dicomweb.objects import InstanceFinder, WebSettings
from gantry.services.retrieve.dicomweb.representations import frame_form
from gantry.services.retrieve.dicomweb.video import is_video, send_video
from gantry.services.retrieve.pixels import look as looks
from gantry.services.retrieve.pixels.converter import ConversionFailed, Converter, Readable
from gantry.services.retrieve.pixels.frame_finder import FrameFinder
from gantry.services.retrieve.pixels.frame_reader import FrameReader, Pictured
from gantry.services.retrieve.pixels.image import Image, NoImage, frame_numbers, require_frames
from gantry.services.retrieve.pixels.look import RenderingParameters
from gantry.services.retrieve.reading import MAX_HEADER, Objects
from gantry.services.retrieve.sources import CHUNK
from gantry.services.retrieve.threads import give_way

_MAX_AGE = 3600
PICTURES = [Offer(kind) for kind in looks.PICTURES]


class FrameService:
    """Retrieves frames and pictures of one object."""

    def __init__(
        self, finder: InstanceFinder, objects: Objects, frames: FrameFinder, converter: Converter, settings: WebSettings
    ) -> None:
        self._finder = finder
        self._objects = objects
        self._finding = frames
        self._reader = FrameReader(objects, frames, converter)
        self._converter = converter
        self._settings = settings
        self._pictures = DocumentCache(16 << 20)

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {Resource.FRAMES: self.frames}

    # ---- frames

    async def frames(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """The frames of the list, in its order, each read separately."""
        with as_bad_request():
            numbers = frame_numbers(match.frames)
        location = await self._finder.instance(match)
        with as_problems():
            image = (await self._reader.pictured(location)).image
            require_frames(image, numbers)
        return await self.send_frames(request, location, image, numbers)

    async def image(self, location: Location) -> Image:
        """The image attributes of an object. Raises `NoImage`, `Damaged`."""
        return (await self.pictured(location)).image

    async def send_frames(
        self, request: web.BaseRequest, location: Location, image: Image, numbers: Sequence[int]
    ) -> web.StreamResponse:
        """Send frames in the requested form; the first is opened before the head of the response is sent."""
        stored = location.transfer_syntax_uid
        kind, syntax, parts = frame_form(stored, parse_accept(accept_of(request)))
        if not parts and len(numbers) > 1:
            raise HttpProblem(406, "several frames need multipart/related")
        decode = image.encapsulated and syntax != stored
        out, boundary, part_type = BodyWriter(request, self._settings.stall), new_boundary(), _typed(kind, syntax)
        whole = {"Content-Type": content_type(boundary, kind) if parts else part_type}
        for place, number in enumerate(numbers):
            async with AsyncExitStack() as stack:
                opened = (
                    self._reader.decoded(location, image, number, request.remote or "")
                    if decode
                    else self._reader.stored(location, image, number)
                )
                with as_problems():
                    frame = await stack.enter_async_context(opened)
                length = {"Content-Length": str(frame.length)}
                if not place and not await out.begin(200, whole if parts else {**whole, **length}):
                    return await out.end()
                if parts:
                    headers = {"Content-Type": part_type, **length}
                    await out.write(part_head(boundary, headers, first=not place))
                await send(out, frame)
        if parts:
            await out.write(closing(boundary))
        return await out.end()

    # ---- pictures

    async def video(
        self, request: web.BaseRequest, location: Location, pictured: Pictured
    ) -> web.StreamResponse | None:
        """The video, where the object is one: it is not decoded."""
        if not (pictured.image.encapsulated and is_video(location.transfer_syntax_uid)):
            return None
        with as_problems():
            fragments = await self._finding.everything(location, pictured.image)
        return await send_video(request, self._objects, location, fragments, self._settings.stall)

    async def picture(
        self, request: web.BaseRequest, location: Location, pictured: Pictured, frames: str, look: RenderingParameters
    ) -> web.StreamResponse:
        """The picture of a frame, the first one where none is named; 404 where there is none, 406 if it cannot be shown
        correctly."""
        with as_bad_request():
            number = frame_numbers(frames or "1")[0]
        with as_problems():
            require_frames(pictured.image, [number])
        with as_bad_request():
            _require_viewport(pictured.image, look)
        key = f"{location.object_key} {number} {look}"
        etag = f'"{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}"'
        headers = {"ETag": etag, "Cache-Control": picture_caching(request, _MAX_AGE), "Vary": "Accept"}
        if is_known(request.headers, etag):
            return web.Response(status=304, headers=headers)
        picture = self._pictures.get(key)
        if picture is None:
            picture = await self.rendering(location, pictured, number, look, request.remote or "")
            self._pictures.put(key, picture)
        return web.Response(body=picture, headers={**headers, "Content-Type": look.kind})

    async def rendering(
        self, location: Location, pictured: Pictured, number: int, look: RenderingParameters, client: str
    ) -> bytes:
        """A frame as a picture. Raises `HttpProblem`."""
        with as_problems():
            require_frames(pictured.image, [number])
        with as_bad_request():
            _require_viewport(pictured.image, look)
        with as_problems():
            return await self._rendered(location, pictured, number, look, client)

    async def pictured(self, location: Location) -> Pictured:
        """The image of an object. Raises `NoImage`, `Damaged`."""
        return await self._reader.pictured(location)

    async def _rendered(
        self, location: Location, pictured: Pictured, number: int, look: RenderingParameters, client: str
    ) -> bytes:
        if pictured.header_length > MAX_HEADER:
            raise ConversionFailed(f"a header of {pictured.header_length} bytes")
        async with (
            self._reader.header(location, pictured) as header,
            self._reader.stored(location, pictured.image, number) as frame,
        ):
            return await self._converter.render(pictured.image, header, frame, look, number, client)

    async def first(self, locations: Sequence[Location]) -> tuple[Location, Pictured]:
        """The first object with an image. Raises `HttpProblem`."""
        for location in locations:
            try:
                return location, await self._reader.pictured(location)
            except (NoImage, Damaged):
                if len(locations) == 1:
                    with as_problems():
                        raise
        raise HttpProblem(404, "this object has no image")


async def send(out: BodyWriter, readable: Readable) -> None:
    """Send a source piece by piece; if it has fewer bytes than announced, the connection is cut."""
    buffer, left = memoryview(bytearray(min(CHUNK, readable.length or 1))), readable.length
    while left:
        try:
            count = await readable.source.readinto([buffer[: min(len(buffer), left)]])
        except BaseException:
            out.cut()
            raise
        if not count:
            out.cut()
            raise ConnectionResetError("an object is shorter than it was")
        left -= count
        await out.write(buffer[:count])
        await give_way()


def _typed(kind: str, syntax: str) -> str:
    return f"{kind}; transfer-syntax={syntax}"


def _require_viewport(image: Image, look: RenderingParameters) -> None:
    """Raises `ValueError` if the picture would be outside the image, or much larger than it."""
    if look.viewport is not None:
        region = looks.region_of(look.viewport, image.columns, image.rows)
        looks.picture_size(look.viewport, region.columns, region.rows)
