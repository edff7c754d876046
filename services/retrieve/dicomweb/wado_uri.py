"""WADO-URI (PS3.18 9): one object, or a picture of it, for existing links."""

from __future__ import annotations

from aiohttp import web

from gantry.common.ids import is_uid
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import DICOM, MediaRange, Offer
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import Handler
from gantry.services.retrieve.dicomweb.documents import Documents, media_types_of
from gantry.services.retrieve.dicomweb.errors import as_bad_request
from gantry.services.retrieve.dicomweb.frames import FrameService
from gantry.services.retrieve.dicomweb.objects import InstanceFinder, ObjectService, in_requested_form
from gantry.services.retrieve.pixels.look import PICTURES, look_of

_ANY = frozenset(("image/*", "*/*"))


class UriService:
    """`/wado?requestType=WADO&…`"""

    def __init__(
        self, finder: InstanceFinder, objects: ObjectService, frames: FrameService, documents: Documents
    ) -> None:
        self._finder = finder
        self._documents = documents
        self._objects = objects
        self._frames = frames

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {Resource.WADO_URI: self.retrieve}

    async def retrieve(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Answer a WADO-URI request. Raises `HttpProblem` 400 if it is not valid."""
        query = request.query
        if query.get("requestType") != "WADO":
            raise HttpProblem(400, "requestType is not WADO")
        uids = {name: query.get(f"{name}UID", "") for name in ("study", "series", "object")}
        for name, uid in uids.items():
            if not is_uid(uid):
                raise HttpProblem(400, f"{name}UID is missing, or is not a uid")
        if query.get("anonymize"):
            raise HttpProblem(406, "anonymize is not supported")
        named = Match(Resource.WADO_URI, uids["study"], uids["series"], uids["object"], query.get("frameNumber", ""))
        kinds = [kind.strip().lower() for kind in query.get("contentType", "").split(",") if kind.strip()]
        location = await self._finder.instance(named)
        if DICOM in kinds:
            syntax = query.get("transferSyntax", "")
            if syntax and not is_uid(syntax):
                raise HttpProblem(400, "transferSyntax is not a UID")
            return await self._objects.send(
                request, in_requested_form(request, [location]), Offer(DICOM), MediaRange(DICOM, 1.0, "", syntax)
            )
        if types := media_types_of(location):
            return await self._documents.send(request, location, ",".join(kinds) or types[0])
        # PS3.18 9.1.2.2.1: the first requested type that we support; JPEG if none is requested.
        kind = next((kind for kind in kinds if kind in PICTURES or kind in _ANY), None if kinds else "*/*")
        if kind is None:
            raise HttpProblem(406, f"contentType is neither application/dicom nor {', '.join(PICTURES)}")
        kind = next(iter(PICTURES)) if kind in _ANY else kind
        with as_bad_request():
            look = look_of(_window(request), _viewport(request), kind, query.get("imageQuality"))
        return await self._frames.picture(request, *await self._frames.first([location]), named.frames, look)


def _window(request: web.BaseRequest) -> str | None:
    center, width = request.query.get("windowCenter"), request.query.get("windowWidth")
    return None if center is None and width is None else f"{center},{width}"


def _viewport(request: web.BaseRequest) -> str | None:
    rows, columns = request.query.get("rows"), request.query.get("columns")
    return None if rows is None and columns is None else f"{columns or rows},{rows or columns}"
