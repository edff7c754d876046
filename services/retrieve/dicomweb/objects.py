"""WADO-RS (PS3.18 10.4): objects and metadata. Frames and pictures are in `frames`, bulk data in `bulk`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from aiohttp import web

from gantry.common.dicom.model.xml_writing import to_xml
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.errors import GantryError, NotFound
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import InstanceKey, Location
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.bodies import BodyWriter, answer
from gantry.common.web.codings import coding_of, compressor
from gantry.common.web.errors import HttpProblem
from gantry.common.web.multipart import closing, content_type, new_boundary, part_head
from gantry.common.web.negotiation import (
    DICOM,
    DICOM_JSON,
    DICOM_XML,
    JSON,
    ZIP,
    MediaRange,
    Offer,
    choose,
    is_known,
    parse_accept,
)
from gantry.common.web.routes import BASE, Match, Resource
from gantry.common.web.server import Handler
from gantry.common.web.urls import accept_of, base_url
from gantry.services.retrieve.budget import Unavailable
from gantry.services.retrieve.corrections import as_stored, version_of
from gantry.services.retrieve.damage import Damaged
from gantry.services.retrieve.dicomweb.metadata import PIECE, Metadata
from gantry.services.retrieve.dicomweb.representations import object_syntax
from gantry.services.retrieve.dicomweb.zip_stream import ZipStream
from gantry.services.retrieve.opening import Opened, Openings
from gantry.services.retrieve.pixels.converter import ConversionFailed
from gantry.services.retrieve.threads import give_way
from gantry.services.retrieve.unindexed import Locating

logger = get_logger("retrieve")

_CHUNK = 1 << 18
_MOST_INSTANCES = 500_000
_LOOKED_AT_ONCE = 32
OBJECTS = (Offer(DICOM, multipart=True), Offer(ZIP), Offer(DICOM))
METADATA = (Offer(DICOM_JSON), Offer(JSON), Offer(DICOM_XML, multipart=True))


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`public_url` is the URL by which clients reach this server, if known; `metadata_memory` in bytes; `stall` in
    seconds."""

    public_url: str | None = None
    metadata_memory: int = 64 << 20
    stall: float = 60.0


class InstanceFinder:
    """Locates the objects that a path names."""

    def __init__(self, index: Locating) -> None:
        self._index = index

    async def instance(self, match: Match) -> Location:
        """The instance. Raises `NotFound`, also if it is in another series or study."""
        instance = InstanceKey(match.study, match.series, match.instance)
        location = (await self._index.current(DEFAULT_PARTITION, [instance])).get(instance)
        if location is None:
            raise NotFound("no such instance")
        return location

    async def all(self, match: Match, most: int = _MOST_INSTANCES) -> list[Location]:
        """The instances of a study or series, or the one that the path names; at most `most`."""
        if match.instance:
            return [await self.instance(match)]
        level = Level.SERIES if match.series else Level.STUDY
        conditions = {STUDY_INSTANCE_UID: Single((match.study,))}
        if match.series:
            conditions[SERIES_INSTANCE_UID] = Single((match.series,))
        locations: list[Location] = []
        async for page in self._index.locate(Query(DEFAULT_PARTITION, level, conditions)):
            locations += page
            if len(locations) >= most:
                break
        if not locations:
            raise NotFound("no such study or series")
        return locations[:most]


class ObjectService:
    """Retrieve instances and metadata (PS3.18 table 10.4.1-1).

    Lost or damaged objects are left out, and the status or a Warning reports that. A single lost object is 500 with a
    reason, since 404 means that it never existed.
    """

    def __init__(self, finder: InstanceFinder, openings: Openings, metadata: Metadata, settings: WebSettings) -> None:
        self._finder = finder
        self._openings = openings
        self._metadata = metadata
        self._settings = settings

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {Resource.OBJECTS: self.objects, Resource.METADATA: self.metadata}

    # ---- metadata

    async def metadata(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """JSON or XML, with an ETag that changes when an instance is added or removed."""
        offer, _ = choose(parse_accept(accept_of(request)), METADATA)
        locations = in_requested_form(request, await self._finder.all(match))
        url = f"{base_url(request, self._settings.public_url)}{BASE}"
        etag = _etag(f"{offer}{url}", locations)
        headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
        if is_known(request.headers, etag):
            return web.Response(status=304, headers=headers)
        if not offer.multipart and len(locations) <= PIECE:
            missed: list[Damaged] = []
            body = b"".join([piece async for piece in self._metadata.documents(locations, url, missed)])
            return await answer(request, body, offer.type, _with_warning(headers, missed, len(locations)))
        present, missed = await self._present(locations)
        headers = _with_warning(headers, missed, len(locations))
        if not offer.multipart:
            return await self._stream(request, present, url, offer.type, headers)
        return await self._stream_xml(request, present, url, headers)

    async def _stream_xml(
        self, request: web.BaseRequest, locations: Sequence[Location], url: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        boundary = new_boundary()
        out = BodyWriter(request, self._settings.stall)
        first = to_xml(await self._metadata.attributes(locations[0], url))
        if await out.begin(200, {**headers, "Content-Type": content_type(boundary, DICOM_XML)}):
            for number, location in enumerate(locations):
                document = first if not number else to_xml(await self._metadata.attributes(location, url))
                await out.write(part_head(boundary, {"Content-Type": DICOM_XML}, first=not number) + document)
            await out.write(closing(boundary))
        return await out.end()

    async def _stream(
        self, request: web.BaseRequest, locations: Sequence[Location], url: str, kind: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        """Stream metadata that is too long for memory, compressed if the client accepts that."""
        wanted = coding_of(request.headers)
        smaller = compressor(wanted) if wanted else None
        coding = {"Content-Encoding": wanted} if wanted else {}
        out, missed = BodyWriter(request, self._settings.stall), list[Damaged]()
        sent = {**headers, **coding, "Content-Type": kind, "Vary": "Accept, Accept-Encoding"}
        if await out.begin(200, sent):
            async for piece in self._metadata.documents(locations, url, missed):
                if missed:
                    self._cut(out, missed[0])
                await out.write(piece if smaller is None else await asyncio.to_thread(smaller.compress, piece))
            if smaller is not None:
                await out.write(smaller.flush())
        return await out.end()

    async def _present(self, locations: Sequence[Location]) -> tuple[list[Location], list[Damaged]]:
        """The objects that are present with the right length, at least one, and those that are missing or damaged.
        Checked before the head of the response is sent."""
        missed: dict[int, Damaged] = {}
        places = iter(range(len(locations)))

        async def look() -> None:
            for place in places:
                try:
                    await self._openings.objects.require(locations[place])
                except Damaged as damage:
                    missed[place] = damage

        async with asyncio.TaskGroup() as group:
            for _ in range(min(_LOOKED_AT_ONCE, len(locations))):
                group.create_task(look())
        present = [location for place, location in enumerate(locations) if place not in missed]
        if not present:
            raise _lost([*missed.values()])
        return present, [*missed.values()]

    # ---- objects

    async def objects(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Part 10 objects: in parts, as a zip archive, or a single one."""
        offer, wanted = choose(parse_accept(accept_of(request)), OBJECTS)
        locations = in_requested_form(request, await self._finder.all(match))
        if offer == Offer(DICOM) and len(locations) > 1:
            raise HttpProblem(406, "several instances need multipart/related or application/zip")
        return await self.send(request, locations, offer, wanted)

    async def send(
        self, request: web.BaseRequest, locations: Sequence[Location], offer: Offer, wanted: MediaRange
    ) -> web.StreamResponse:
        """Send the objects that are present and available in the requested transfer syntax: 206 if that is not all of
        them, 406 or 500 if it is none."""
        syntaxes = {location.object_key: object_syntax(location.transfer_syntax_uid, wanted) for location in locations}
        possible = [location for location in locations if syntaxes[location.object_key] is not None]
        if not possible:
            raise HttpProblem(406, "none of the instances is available in this transfer syntax")
        # A single object is opened before the head anyway, which shows the same.
        present, missed = await self._present(possible) if len(possible) > 1 else (possible, [])
        sent = [(location, syntaxes[location.object_key] or "") for location in present]
        async with aclosing(self._opened(sent, request.remote or "")) as objects:
            # The first object is opened before the head is sent, so that a fault in it can still be reported.
            first, left = None, len(sent)
            async for opened in objects:
                left -= 1
                if not isinstance(opened, Damaged):
                    first = opened
                    break
                missed.append(opened)
            if first is None:
                raise _lost(missed)
            status = 200 if left + 1 == len(locations) else 206
            out = BodyWriter(request, self._settings.stall)
            headers = _with_warning({}, missed, len(possible))
            if offer.multipart:
                await self._send_parts(out, first, objects, status, headers)
            elif offer.type == ZIP:
                await self._send_zip(out, first, objects, status, headers)
            else:
                await self._send_one(out, first)
            return await out.end()

    async def _send_parts(
        self,
        out: BodyWriter,
        first: Opened,
        rest: AsyncIterator[Opened | Damaged],
        status: int,
        headers: dict[str, str],
    ) -> None:
        boundary = new_boundary()
        if not await out.begin(status, {**headers, "Content-Type": content_type(boundary, DICOM)}):
            return
        async for opened in _behind(first, rest):
            if isinstance(opened, Damaged):
                self._cut(out, opened)
            kind = f"{DICOM}; transfer-syntax={opened.syntax}"
            part = {"Content-Type": kind, "Content-Length": str(opened.size)}
            await out.write(part_head(boundary, part, first=opened is first))
            await self._copy(out, opened, out.write)
        await out.write(closing(boundary))

    async def _send_zip(
        self,
        out: BodyWriter,
        first: Opened,
        rest: AsyncIterator[Opened | Damaged],
        status: int,
        headers: dict[str, str],
    ) -> None:
        disposition = {"Content-Type": ZIP, "Content-Disposition": 'attachment; filename="dicom.zip"'}
        if not await out.begin(status, {**headers, **disposition}):
            return
        archive = ZipStream()
        async for opened in _behind(first, rest):
            if isinstance(opened, Damaged):
                self._cut(out, opened)
            location = opened.location
            name = f"{location.study_instance_uid}/{location.series_instance_uid}/{location.sop_instance_uid}.dcm"
            with archive.begin(name, opened.size) as file:

                async def put(chunk: memoryview | bytes, file: Any = file) -> None:
                    file.write(chunk)
                    await out.write(archive.take())

                await self._copy(out, opened, put)
        archive.end()
        await out.write(archive.take())

    async def _send_one(self, out: BodyWriter, opened: Opened) -> None:
        kind = f"{DICOM}; transfer-syntax={opened.syntax}"
        if await out.begin(200, {"Content-Type": kind, "Content-Length": str(opened.size)}):
            await self._copy(out, opened, out.write)

    async def _copy(self, out: BodyWriter, opened: Opened, write: Callable[[memoryview | bytes], Any]) -> None:
        """Send the whole object. The connection is cut if it cannot be read to its end, or is damaged: its length has
        been announced already."""
        buffer, left = memoryview(bytearray(min(_CHUNK, opened.size or 1))), opened.size
        try:
            while left:
                count = await opened.source.readinto([buffer[: min(len(buffer), left)]])
                if not count:
                    raise GantryError("an object is shorter than it was")
                left -= count
                await write(buffer[:count])
                await give_way()
        except GantryError as error:
            logger.error("object broke off", object_key=opened.location.object_key, error=str(error))
            self._cut(out, error)

    @staticmethod
    def _cut(out: BodyWriter, error: GantryError) -> NoReturn:
        out.cut()
        raise ConnectionResetError("object broke off") from error

    async def _opened(
        self, sent: Sequence[tuple[Location, str]], client: str
    ) -> AsyncGenerator[Opened | Damaged, None]:
        """The objects in order, or `Damaged` in their place; the next object is opened, and converted, while one is
        being sent."""
        ahead: asyncio.Task[Opened | Damaged] | None = None
        try:
            for number, (location, syntax) in enumerate(sent):
                opening, ahead = ahead, None
                try:
                    opened = await (opening or self._open(location, syntax, client))
                except Unavailable:
                    if opening is None:
                        raise
                    # There was no room for it ahead of its turn; now its turn has come.
                    opened = await self._open(location, syntax, client)
                if number + 1 < len(sent):
                    ahead = asyncio.ensure_future(self._open(*sent[number + 1], client, ahead=True))
                try:
                    yield opened
                finally:
                    if isinstance(opened, Opened):
                        await opened.source.close()
        finally:
            if ahead is not None:
                ahead.cancel()
                with suppress(asyncio.CancelledError, GantryError):
                    opened = await ahead
                    if isinstance(opened, Opened):
                        await opened.source.close()

    async def _open(self, location: Location, syntax: str, client: str, *, ahead: bool = False) -> Opened | Damaged:
        try:
            return await self._openings.part10(location, syntax, client, ahead=ahead)
        except Damaged as damage:
            return damage
        except ConversionFailed as error:
            # The part names its transfer syntax: the object as it is stored is better than none.
            logger.warning("sent as stored", object_key=location.object_key, error=str(error))
        return await self._as_stored(location, client)

    async def _as_stored(self, location: Location, client: str) -> Opened | Damaged:
        try:
            return await self._openings.part10(location, location.transfer_syntax_uid, client)
        except Damaged as damage:
            return damage


async def _behind(first: Opened, rest: AsyncIterator[Opened | Damaged]) -> AsyncIterator[Opened | Damaged]:
    yield first
    async for opened in rest:
        yield opened


def in_requested_form(request: web.BaseRequest, locations: list[Location]) -> list[Location]:
    """The objects as they are, or with `?original=true` as they were stored; an extension to DICOMweb. Raises
    `HttpProblem` 400."""
    word = request.query.get("original", "false").lower()
    if word not in ("true", "false"):
        raise HttpProblem(400, "original is true or false")
    return as_stored(locations) if word == "true" else locations


def _etag(kind: str, locations: Sequence[Location]) -> str:
    digest = hashlib.blake2b(kind.encode(), digest_size=12)
    for location in locations:
        digest.update(version_of(location).encode())
    return f'W/"{digest.hexdigest()}"'


def _with_warning(headers: dict[str, str], missed: Sequence[Damaged], count: int) -> dict[str, str]:
    """Headers that report what was left out, so that no cache takes the answer for the whole. Raises `HttpProblem` if
    every instance is missing."""
    if not missed:
        return headers
    if len(missed) >= count:
        raise _lost(missed)
    words = f'299 gantry "{len(missed)} of {count} instances are lost or damaged, and were left out"'
    return {**{name: value for name, value in headers.items() if name != "ETag"}, "Warning": words}


def _lost(missed: Sequence[Damaged]) -> HttpProblem:
    """PS3.18 8.5: not 404, which means that it never existed; nor 410, which means that it was removed on purpose."""
    if len(missed) == 1:
        return HttpProblem(500, str(missed[0]), {"Cache-Control": "no-store"})
    return HttpProblem(500, f"all {len(missed)} instances are lost or damaged", {"Cache-Control": "no-store"})
