"""A video as it is stored, for a player: the file that its fragments form (PS3.18 8.7.4, PS3.5 A.4.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aiohttp import web

from gantry.common.ports.index import Location
from gantry.common.web.bodies import BodyWriter
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import Offer, choose, parse_accept, requested_range
from gantry.common.web.urls import accept_of
from gantry.services.retrieve.dicomweb.errors import as_problems
from gantry.services.retrieve.dicomweb.representations import media_type_of
from gantry.services.retrieve.reading import Objects

MP4 = "video/mp4"
_CHUNK = 1 << 20
_HEAD = 12

Fragment = tuple[int, int]
"""Offset in the data set, and length."""


def is_video(transfer_syntax: str) -> bool:
    """Whether pixel data in this transfer syntax is a video."""
    return media_type_of(transfer_syntax).startswith("video/")


async def send_video(
    request: web.BaseRequest, objects: Objects, location: Location, fragments: Sequence[Fragment], stall: float
) -> web.StreamResponse:
    """The video, or a range of it: players ask for the end first. Raises `HttpProblem` 406 if it is not an MP4 file:
    DICOM allows other containers, or none."""
    choose(parse_accept(accept_of(request)), [Offer(MP4)])
    with as_problems():
        await objects.check(location)
        head = b"".join([await objects.read(location, *piece) for piece in pieces(fragments, 0, _HEAD)])
    if head[4:8] != b"ftyp":
        raise HttpProblem(406, "this video is not an MP4 file: its frames are the stored stream")
    length = sum(size for _, size in fragments)
    part = requested_range(request.headers, length)
    begin, end = part or (0, length)
    headers = {"Content-Type": MP4, "Accept-Ranges": "bytes", "Content-Length": str(end - begin), "Vary": "Accept"}
    if part is not None:
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{length}"
    out = BodyWriter(request, stall)
    if await out.begin(206 if part is not None else 200, headers):
        for piece in pieces(fragments, begin, end):
            await out.write(await objects.read(location, *piece))
    return await out.end()


def pieces(fragments: Sequence[Fragment], begin: int, end: int) -> Iterator[Fragment]:
    """Where the bytes from `begin` to `end` of the joined fragments are, in pieces of bounded length."""
    at = 0
    for offset, length in fragments:
        first, last = max(begin, at), min(end, at + length)
        for start in range(first, last, _CHUNK):
            yield offset + start - at, min(_CHUNK, last - start)
        at += length
