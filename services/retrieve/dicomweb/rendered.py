"""Representations for people (PS3.18 10.4.1.1.3): a picture of an image, a video, a document."""

from __future__ import annotations

from aiohttp import web

from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import choose, parse_accept
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import Handler
from gantry.common.web.urls import accept_of
from gantry.services.retrieve.dicomweb.documents import Documents, media_types_of
from gantry.services.retrieve.dicomweb.errors import as_bad_request
from gantry.services.retrieve.dicomweb.frames import PICTURES, FrameService
from gantry.services.retrieve.dicomweb.objects import InstanceFinder
from gantry.services.retrieve.dicomweb.video import MP4
from gantry.services.retrieve.pixels.look import look_of

MOST_TRIED = 20
"""Instances of a study or series that are searched for one with an image."""


class RenderedService:
    """Retrieves instances, frames, series and studies as something to look at."""

    def __init__(self, finder: InstanceFinder, frames: FrameService, documents: Documents) -> None:
        self._finder = finder
        self._frames = frames
        self._documents = documents

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {Resource.RENDERED: self.rendered}

    async def rendered(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """A picture of the named frame, or of the first one; for a study or series, of its first image. A video is not
        decoded: the answer is the video itself, for one of its frames only if the client accepts that. If nothing is an
        image, the first document."""
        accept = accept_of(request)
        locations = await self._finder.all(match, most=MOST_TRIED)
        documents = [] if match.frames else [location for location in locations if media_types_of(location)]
        try:
            location, pictured = await self._frames.first(locations)
        except HttpProblem as problem:
            if problem.status != 404 or not documents:
                raise
            return await self._documents.send(request, documents[0], accept)
        as_video = not match.frames or any(media_range.type == MP4 for media_range in parse_accept(accept))
        if as_video and (video := await self._frames.video(request, location, pictured)) is not None:
            return video
        offer, _ = choose(parse_accept(accept), PICTURES)
        query = request.query
        with as_bad_request():
            look = look_of(query.get("window"), query.get("viewport"), offer.type, query.get("quality"))
        return await self._frames.picture(request, location, pictured, match.frames, look)
