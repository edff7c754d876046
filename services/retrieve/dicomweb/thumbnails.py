"""Thumbnails (PS3.18 10.4.1.1.4): made once, cached on disk, and returned only while the object is intact."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from aiohttp import web

from gantry.common.errors import Corrupt, NotFound
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import Location
from gantry.common.runtime.losses import instance_of
from gantry.common.web.callers import picture_caching
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import choose, is_known, parse_accept
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import Handler
from gantry.common.web.urls import accept_of
from gantry.services.retrieve.damage import Damaged
from gantry.services.retrieve.dicomweb.errors import as_bad_request, as_problems
from gantry.services.retrieve.dicomweb.frames import PICTURES, FrameService
from gantry.services.retrieve.dicomweb.objects import InstanceFinder
from gantry.services.retrieve.dicomweb.picture_cache import PictureCache
from gantry.services.retrieve.dicomweb.representative import MOST_TRIED, Representatives
from gantry.services.retrieve.pixels.image import NoImage, frame_numbers
from gantry.services.retrieve.pixels.look import RenderingParameters, Viewport, look_of
from gantry.services.retrieve.unindexed import Describing

_RENDERING = 1
"""Version of the rendering. Increase it when pictures change: older cached ones are then ignored."""
_SIZE = Viewport(160, 160, enlarge=False)
_MAX_AGE = {True: 3600, False: 60}
"""Seconds for which a browser may cache: a given frame, and a choice that further images may change."""


class ThumbnailService:
    """Thumbnails of instances and frames, and of series and studies, represented by an image in their middle."""

    def __init__(
        self, finder: InstanceFinder, frames: FrameService, index: Describing, store: BlobStore, cache: PictureCache
    ) -> None:
        self._finder = finder
        self._frames = frames
        self._index = index
        self._store = store
        self._cache = cache
        self._representatives = Representatives(index)

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {Resource.THUMBNAIL: self.thumbnail}

    async def thumbnail(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """A small picture; 404 if the object has no image, 406 if it cannot be shown correctly."""
        offer, _ = choose(parse_accept(accept_of(request)), PICTURES)
        with as_bad_request():
            look = look_of(None, request.query.get("viewport"), offer.type)
            number = frame_numbers(match.frames)[0] if match.frames else 1 if match.instance else None
        # A small image stays small: a client that asks for thumbnails of a study does not know its images.
        viewport = _SIZE if look.viewport is None else replace(look.viewport, enlarge=False)
        look = replace(look, viewport=viewport)
        locations = await self._locations(match)
        for location in locations:
            try:
                return await self._answer(request, location, number, look)
            except (NoImage, Damaged):
                if len(locations) == 1:
                    with as_problems():
                        raise
        raise HttpProblem(404, "this object has no image")

    async def _locations(self, match: Match) -> Sequence[Location]:
        chosen = [] if match.instance else await self._representatives.of(match)
        # If nothing is indexed yet, there is no order to choose by.
        return chosen or await self._finder.all(match, most=MOST_TRIED)

    async def _answer(
        self, request: web.BaseRequest, location: Location, number: int | None, look: RenderingParameters
    ) -> web.StreamResponse:
        """The picture of a frame, of the middle one if `number` is None. Raises `NoImage`, `Damaged`, `HttpProblem`."""
        name = _name(location, number, look)
        etag = f'"{name[:24]}"'
        caching = picture_caching(request, _MAX_AGE[number is not None])
        headers = {"ETag": etag, "Cache-Control": caching, "Vary": "Accept"}
        known = is_known(request.headers, etag)
        picture = None if known else await self._cache.get(name)
        if (known or picture is not None) and not await self._is_well(location):
            known, picture = False, None
        if known:
            return web.Response(status=304, headers=headers)
        if picture is None:
            picture = await self._made(location, number, look, request.remote or "")
            await self._cache.put(name, picture)
        return web.Response(body=picture, headers={**headers, "Content-Type": look.kind})

    async def _made(self, location: Location, number: int | None, look: RenderingParameters, client: str) -> bytes:
        pictured = await self._frames.pictured(location)
        frame = number or pictured.image.frames // 2 + 1
        return await self._frames.rendering(location, pictured, frame, look, client)

    async def _is_well(self, location: Location) -> bool:
        """Whether the object is present and not reported damaged: otherwise no cached picture of it is returned."""
        receipts = await self._index.receipts(DEFAULT_PARTITION, instance_of(location))
        if any(receipt.lost for receipt in receipts if receipt.object_key == location.object_key):
            return False
        try:
            size = (await self._store.stat(location.object_key)).size
        except (NotFound, Corrupt):
            return False
        return size == location.data_set_offset + location.data_set_length


def _name(location: Location, number: int | None, look: RenderingParameters) -> str:
    """The name of a picture: from the digest of the object's bytes, and the requested look."""
    version = f"{location.digest} {location.data_set_length} {location.transfer_syntax_uid}"
    name = f"{_RENDERING} {version} {number or 'middle'} {look}"
    return hashlib.blake2b(name.encode(), digest_size=20).hexdigest()
