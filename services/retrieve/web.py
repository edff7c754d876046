"""WADO-RS (PS3.18 10.4): objects and metadata. Frames, bulk data and pictures are in `web_frames`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from libs.common.dicom.attributes import SERIES_INSTANCE_UID, STUDY_INSTANCE_UID, Level
from libs.common.dicom.matching import Query, Single
from libs.common.dicom.part10 import file_meta
from libs.common.dicom.xml_model import to_xml
from libs.common.errors import GantryError, NotFound
from libs.common.ids import DEFAULT_PARTITION
from libs.common.ports.blobs import BlobReader
from libs.common.ports.index import InstanceKey, Location, SearchIndex
from libs.common.web.bodies import Outgoing, answer
from libs.common.web.codings import coding_of, compressor
from libs.common.web.errors import HttpProblem
from libs.common.web.multipart import closing, content_type, new_boundary, part_head
from libs.common.web.negotiation import (
    DICOM,
    DICOM_JSON,
    DICOM_XML,
    JSON,
    ZIP,
    MediaRange,
    Offer,
    choose,
    etag_matches,
    parse_accept,
)
from libs.common.web.routes import BASE, Match, Resource
from libs.common.web.server import Handler
from libs.common.web.urls import accept_of, base_url
from services.retrieve.archives import ZipStream
from services.retrieve.conversion import ConversionFailed, Converter
from services.retrieve.metadata import PIECE, Metadata
from services.retrieve.reading import Objects
from services.retrieve.representations import object_syntax

log = structlog.get_logger("gantry.retrieve")

_CHUNK = 1 << 18
_MOST_INSTANCES = 500_000
OBJECTS = (Offer(DICOM, multipart=True), Offer(ZIP), Offer(DICOM))
METADATA = (Offer(DICOM_JSON), Offer(JSON), Offer(DICOM_XML, multipart=True))


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`public_url` is what clients call us by, where it is known; `metadata_memory` in bytes; `stall` in seconds."""

    public_url: str | None = None
    metadata_memory: int = 64 << 20
    stall: float = 60.0


class Finder:
    """Where the objects are that a path names."""

    def __init__(self, index: SearchIndex) -> None:
        self._index = index

    async def one(self, match: Match) -> Location:
        """The instance. Raises `NotFound`, also where it is in another series or study."""
        instance = InstanceKey(match.study, match.series, match.instance)
        location = (await self._index.current(DEFAULT_PARTITION, [instance])).get(instance)
        if location is None:
            raise NotFound("no such instance")
        return location

    async def all(self, match: Match, most: int = _MOST_INSTANCES) -> list[Location]:
        """The instances of a study or series, or one; `most` at most, where that is all that is wanted."""
        if match.instance:
            return [await self.one(match)]
        level = Level.SERIES if match.series else Level.STUDY
        conditions = {STUDY_INSTANCE_UID: Single((match.study,))}
        if match.series:
            conditions[SERIES_INSTANCE_UID] = Single((match.series,))
        found: list[Location] = []
        async for page in self._index.locate(Query(DEFAULT_PARTITION, level, conditions)):
            found += page
            if len(found) >= most:
                break
        if not found:
            raise NotFound("no such study or series")
        return found[:most]


class ObjectService:
    """Retrieve instances and metadata (PS3.18 table 10.4.1-1)."""

    def __init__(
        self, finder: Finder, objects: Objects, metadata: Metadata, converter: Converter, settings: WebSettings
    ) -> None:
        self._finder = finder
        self._objects = objects
        self._metadata = metadata
        self._converter = converter
        self._settings = settings

    def handlers(self) -> dict[Resource, Handler]:
        """What the HTTP server is to answer with."""
        return {Resource.OBJECTS: self.objects, Resource.METADATA: self.metadata}

    # ---- metadata

    async def metadata(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """JSON or XML, with a tag that changes when an instance comes or goes."""
        offer, _ = choose(parse_accept(accept_of(request)), METADATA)
        locations = await self._finder.all(match)
        url = f"{base_url(request, self._settings.public_url)}{BASE}"
        digest = hashlib.blake2b(f"{offer}{url}".encode(), digest_size=12)
        for location in locations:
            digest.update(location.object_key.encode())
        etag = f'W/"{digest.hexdigest()}"'
        headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
        if etag_matches(request.headers.get("If-None-Match", ""), etag):
            return web.Response(status=304, headers=headers)
        if not offer.multipart and len(locations) <= PIECE:
            body = b"".join([piece async for piece in self._metadata.documents(locations, url)])
            return await answer(request, body, offer.type, headers)
        if not offer.multipart:
            return await self._stream(request, self._metadata.documents(locations, url), offer.type, headers)
        boundary = new_boundary()
        out = Outgoing(request, self._settings.stall)
        if await out.begin(200, {**headers, "Content-Type": content_type(boundary, DICOM_XML)}):
            for number, location in enumerate(locations):
                document = to_xml(await self._metadata.attributes(location, url))
                await out.write(part_head(boundary, {"Content-Type": DICOM_XML}, first=not number) + document)
            await out.write(closing(boundary))
        return await out.end()

    async def _stream(
        self, request: web.BaseRequest, pieces: AsyncIterator[bytes], kind: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        """What does not fit into memory at once, compressed where the client takes it."""
        wanted = coding_of(request.headers)
        smaller = compressor(wanted) if wanted else None
        coding = {"Content-Encoding": wanted} if wanted else {}
        out = Outgoing(request, self._settings.stall)
        sent = {**headers, **coding, "Content-Type": kind, "Vary": "Accept, Accept-Encoding"}
        if await out.begin(200, sent):
            async for piece in pieces:
                await out.write(piece if smaller is None else await asyncio.to_thread(smaller.compress, piece))
            if smaller is not None:
                await out.write(smaller.flush())
        return await out.end()

    # ---- objects

    async def objects(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Part 10 objects: in parts, as a zip archive, or one by itself."""
        offer, wanted = choose(parse_accept(accept_of(request)), OBJECTS)
        locations = await self._finder.all(match)
        if offer == Offer(DICOM) and len(locations) > 1:
            raise HttpProblem(406, "there are several instances: multipart/related or application/zip holds them")
        return await self.send(request, locations, offer, wanted)

    async def send(
        self, request: web.BaseRequest, locations: Sequence[Location], offer: Offer, wanted: MediaRange
    ) -> web.StreamResponse:
        """What can be had in the transfer syntax asked for: 206 where that is not all, 406 where it is none."""
        syntaxes = [(one, object_syntax(one.transfer_syntax_uid, wanted)) for one in locations]
        sent = [(location, syntax) for location, syntax in syntaxes if syntax is not None]
        if not sent:
            raise HttpProblem(406, "none of the instances can be had in this transfer syntax")
        status = 200 if len(sent) == len(locations) else 206
        out = Outgoing(request, self._settings.stall)
        if offer.multipart:
            await self._send_parts(out, sent, status)
        elif offer.type == ZIP:
            await self._send_zip(out, sent, status)
        else:
            await self._send_one(out, *sent[0])
        return await out.end()

    async def _send_parts(self, out: Outgoing, sent: Sequence[tuple[Location, str]], status: int) -> None:
        boundary, first = new_boundary(), True
        if not await out.begin(status, {"Content-Type": content_type(boundary, DICOM)}):
            return
        async for opened in self._opened(sent):
            kind = f"{DICOM}; transfer-syntax={opened.syntax}"
            headers = {"Content-Type": kind, "Content-Length": str(opened.size)}
            await out.write(part_head(boundary, headers, first=first))
            await self._copy(out, opened, out.write)
            first = False
        await out.write(closing(boundary, empty=first))

    async def _send_zip(self, out: Outgoing, sent: Sequence[tuple[Location, str]], status: int) -> None:
        if not await out.begin(
            status, {"Content-Type": ZIP, "Content-Disposition": 'attachment; filename="dicom.zip"'}
        ):
            return
        archive = ZipStream()
        async for opened in self._opened(sent):
            location = opened.location
            name = f"{location.study_instance_uid}/{location.series_instance_uid}/{location.sop_instance_uid}.dcm"
            with archive.begin(name, opened.size) as file:

                async def put(chunk: memoryview | bytes, file: Any = file) -> None:
                    file.write(chunk)
                    await out.write(archive.take())

                await self._copy(out, opened, put)
        archive.end()
        await out.write(archive.take())

    async def _send_one(self, out: Outgoing, location: Location, syntax: str) -> None:
        opened = await self._open(location, syntax)
        try:
            kind = f"{DICOM}; transfer-syntax={opened.syntax}"
            if await out.begin(200, {"Content-Type": kind, "Content-Length": str(opened.size)}):
                await self._copy(out, opened, out.write)
        finally:
            await opened.close()

    async def _copy(self, out: Outgoing, opened: Opened, write: Callable[[memoryview | bytes], Any]) -> None:
        """The whole object; the connection is cut where it cannot be read to its end: what has gone out says how long
        it is."""
        if opened.data:
            await write(opened.data)
        if opened.reader is None:
            return
        buffer, left = memoryview(bytearray(min(_CHUNK, opened.size or 1))), opened.size
        try:
            while left:
                count = await opened.reader.readinto([buffer[: min(len(buffer), left)]])
                if not count:
                    raise GantryError("an object is shorter than it was")
                left -= count
                await write(buffer[:count])
        except GantryError as error:
            log.error("object broke off", object_key=opened.location.object_key, error=str(error))
            out.cut()
            raise ConnectionResetError("object broke off") from error

    async def _opened(self, sent: Sequence[tuple[Location, str]]) -> AsyncIterator[Opened]:
        """The objects in order; the next one is opened, and converted, while one is on its way."""
        ahead: asyncio.Task[Opened] | None = None
        try:
            for number, (location, syntax) in enumerate(sent):
                opening = ahead or asyncio.ensure_future(self._open(location, syntax))
                ahead = None
                opened = await opening
                if number + 1 < len(sent):
                    ahead = asyncio.ensure_future(self._open(*sent[number + 1]))
                try:
                    yield opened
                finally:
                    await opened.close()
        finally:
            if ahead is not None:
                ahead.cancel()
                with suppress(asyncio.CancelledError, GantryError):
                    await (await ahead).close()

    async def _open(self, location: Location, syntax: str) -> Opened:
        if syntax != location.transfer_syntax_uid:
            try:
                data = await self._converter.convert(await self._objects.whole(location), syntax)
                head = file_meta(location.sop_class_uid, location.sop_instance_uid, syntax)
                return Opened(location, syntax, len(head) + len(data), data=head + data)
            except ConversionFailed as error:
                # The part says in which transfer syntax it is: better the object as it is than none.
                log.warning("sent as stored", object_key=location.object_key, error=str(error))
        size = location.data_set_offset + location.data_set_length
        reader = await self._objects.store.open(location.object_key, 0, size)
        return Opened(location, location.transfer_syntax_uid, size, reader=reader)


@dataclass(frozen=True, slots=True)
class Opened:
    """A Part 10 object of `size` bytes, in memory or to be read."""

    location: Location
    syntax: str
    size: int
    data: bytes = b""
    reader: BlobReader | None = None

    async def close(self) -> None:
        """Give it back."""
        if self.reader is not None:
            await self.reader.close()
