"""Objects that are not images, in a form that a person reads (PS3.18 8.7.4): encapsulated documents as they are,
structured reports as HTML or text."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from aiohttp import web

from gantry.common.dicom.model.json_writing import name_of
from gantry.common.dicom.standard.sop_classes import STORAGE_SOP_CLASSES, is_structured_report
from gantry.common.dicom.standard.tags import ENCAPSULATED_DOCUMENT, ENCAPSULATED_DOCUMENT_LENGTH
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.net import Source
from gantry.common.ports.index import Location
from gantry.common.web.bodies import BodyWriter, answer
from gantry.common.web.negotiation import Offer, choose, is_known, parse_accept, requested_range
from gantry.services.retrieve.corrections import version_of
from gantry.services.retrieve.dicomweb.bulk import value_at
from gantry.services.retrieve.dicomweb.errors import as_problems
from gantry.services.retrieve.dicomweb.frames import send
from gantry.services.retrieve.dicomweb.metadata import Metadata
from gantry.services.retrieve.documents.report import report_as_html, report_as_text
from gantry.services.retrieve.pixels.converter import Readable
from gantry.services.retrieve.reading import Objects
from gantry.services.retrieve.sources import BytesSource

HTML, PLAIN = "text/html", "text/plain"
REPORTS = {HTML: report_as_html, PLAIN: report_as_text}
ENCAPSULATED = {
    STORAGE_SOP_CLASSES["EncapsulatedPDFStorage"]: "application/pdf",
    STORAGE_SOP_CLASSES["EncapsulatedCDAStorage"]: "text/xml",
    STORAGE_SOP_CLASSES["EncapsulatedSTLStorage"]: "model/stl",
    STORAGE_SOP_CLASSES["EncapsulatedOBJStorage"]: "model/obj",
    STORAGE_SOP_CLASSES["EncapsulatedMTLStorage"]: "model/mtl",
}
"""The media type of each class (PS3.3 A.45, A.85): the type that an object states may be anything, even that of a web
page."""
_TEXTS = frozenset(("text/xml", "model/obj", "model/mtl"))
_ALONE = {"Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'"}
"""For a page of foreign origin: it runs nothing, loads nothing, and gets no origin."""


def media_types_of(location: Location) -> Sequence[str]:
    """The media types for an object that is not an image, the default first; empty for all other objects."""
    encapsulated = ENCAPSULATED.get(location.sop_class_uid)
    if encapsulated is not None:
        return [encapsulated]
    return list(REPORTS) if is_structured_report(location.sop_class_uid) else []


class Documents:
    """Sends documents."""

    def __init__(self, objects: Objects, metadata: Metadata, stall: float) -> None:
        """`stall` in seconds."""
        self._objects = objects
        self._metadata = metadata
        self._stall = stall

    async def send(self, request: web.BaseRequest, location: Location, accept: str) -> web.StreamResponse:
        """The document, in the type that `accept` asks for. Raises `HttpProblem` 404 if the object has none, 406 if it
        is not available in that type."""
        offer, _ = choose(parse_accept(accept), [Offer(kind) for kind in media_types_of(location)])
        etag = f'"{hashlib.blake2b(f"{version_of(location)} {offer.type}".encode(), digest_size=12).hexdigest()}"'
        headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Accept"}
        if is_known(request.headers, etag):
            return web.Response(status=304, headers=headers)
        if offer.type in REPORTS:
            return await self._report(request, location, offer.type, headers)
        return await self._encapsulated(request, location, offer.type, headers)

    async def _report(
        self, request: web.BaseRequest, location: Location, kind: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        with as_problems():
            attributes = await self._metadata.attributes(location, "", as_written=True)
        body = await asyncio.to_thread(lambda: REPORTS[kind](attributes).encode("utf-8", "replace"))
        return await answer(request, body, f"{kind}; charset=utf-8", {**headers, **(_ALONE if kind == HTML else {})})

    async def _encapsulated(
        self, request: web.BaseRequest, location: Location, kind: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        """The document or a range of it: PDF viewers ask for the end first."""
        with as_problems():
            offset, inline, length = await self._value(location, kind)
        part = requested_range(request.headers, length)
        begin, end = part or (0, length)
        name = f"{location.sop_instance_uid}.{kind.rpartition('/')[2]}"
        headers |= {
            "Content-Type": kind,
            "Content-Length": str(end - begin),
            "Accept-Ranges": "bytes",
            "Content-Disposition": f'{"attachment" if kind.startswith("model/") else "inline"}; filename="{name}"',
        }
        if kind == "text/xml":
            headers |= _ALONE
        if part is not None:
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{length}"
        with as_problems():
            source: Source = (
                BytesSource(inline[begin:end])
                if inline is not None
                else await self._objects.open_checked(location, offset + begin, end - begin)
            )
        try:
            out = BodyWriter(request, self._stall)
            if await out.begin(206 if part is not None else 200, headers):
                await send(out, Readable(source, end - begin))
            return await out.end()
        finally:
            await source.close()

    async def _value(self, location: Location, kind: str) -> tuple[int, bytes | None, int]:
        """Where the document is in the data set, or a short one itself; and its length, without the byte that pads it
        (PS3.3 C.24.2). Where the object does not say how long it is, a text has no NUL at its end."""
        head = await self._objects.head(location)
        attributes = await self._metadata.attributes(location, "")
        length = next(iter(attributes.get(name_of(ENCAPSULATED_DOCUMENT_LENGTH), {}).get("Value", ())), None)
        for bulk in reversed(head.layout.bulk):
            if bulk.tag == ENCAPSULATED_DOCUMENT:
                padded = length == bulk.length - 1
                if length is None and kind in _TEXTS and bulk.length:
                    padded = await self._objects.read(location, bulk.offset + bulk.length - 1, 1) == b"\0"
                return bulk.offset, None, bulk.length - padded
        value, _, _ = value_at(head.header, encoding_of(location.transfer_syntax_uid), [name_of(ENCAPSULATED_DOCUMENT)])
        padded = length == len(value) - 1 or (length is None and kind in _TEXTS and value.endswith(b"\0"))
        return 0, value, len(value) - padded
