"""What passes through a connection, with limits and deadlines: a request's body in, parts and bytes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from aiohttp import web
from aiohttp.http_exceptions import PayloadEncodingError

from gantry.common.web.codings import coding_of, compressed
from gantry.common.web.errors import HttpProblem
from gantry.common.web.inflate import Gunzip
from gantry.common.web.progress import SLOWEST, Progress

CORS: web.RequestKey[Mapping[str, str]] = web.RequestKey("cors", Mapping[str, str])
"""Headers that every answer to this request has."""
BEGUN: web.RequestKey[bool] = web.RequestKey("begun", bool)
"""The head of the answer has gone out: what goes wrong now can only cut it."""
_WORTH_IT = 1024
_IN_A_THREAD = 1 << 16


async def body_of(request: web.BaseRequest, limit: int, stall: float) -> AsyncIterator[bytes]:
    """The body in pieces as they come, inflated where it is gzip.

    Raises `HttpProblem`: 413 past `limit` bytes, or where it is a bomb; 408 where no bytes came for `stall` seconds, or
    less than `SLOWEST` in the time that we waited for it; 415 where it is compressed in another way; 400 where it
    breaks.
    """
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip"):
        raise HttpProblem(415, "a body may have the content coding gzip, or none", {"Accept-Encoding": "gzip"})
    if request.content_length is not None and request.content_length > limit:
        raise HttpProblem(413, f"the body is longer than {limit} bytes")
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    pieces = _received(request, limit, stall)
    if coding == "identity":
        async for piece in pieces:
            yield piece
        return
    gunzip = Gunzip()
    async for piece in pieces:
        for inflated in gunzip.feed(piece):
            yield inflated
    gunzip.finish()


async def _received(request: web.BaseRequest, limit: int, stall: float) -> AsyncIterator[bytes]:
    taken, waited = 0, 0.0
    clock = asyncio.get_running_loop().time
    while True:
        begun = clock()
        try:
            async with asyncio.timeout(stall):
                piece = await request.content.readany()
        except TimeoutError:
            raise HttpProblem(408, f"no bytes came for {stall:g} s", {"Connection": "close"}) from None
        except PayloadEncodingError:
            raise HttpProblem(
                400, "the body does not fit its Content-Length or Transfer-Encoding", {"Connection": "close"}
            ) from None
        if not piece:
            return
        taken += len(piece)
        # Only the time that we were ready in: a store that is slow is not the client's fault.
        waited += clock() - begun
        if waited > stall and taken < SLOWEST * waited:
            raise HttpProblem(408, f"less than {SLOWEST} bytes a second came", {"Connection": "close"})
        if taken > limit:
            raise HttpProblem(413, f"the body is longer than {limit} bytes")
        yield piece


class BodyWriter:
    """A response whose body is written piece by piece. A client that takes nothing for `stall` seconds is given up, and
    so is one that takes less than `SLOWEST` bytes a second."""

    def __init__(self, request: web.BaseRequest, stall: float) -> None:
        self._request = request
        self._stall = stall
        self._response = web.StreamResponse()

    async def begin(self, status: int, headers: Mapping[str, str]) -> bool:
        """Send the head; whether a body is wanted: for HEAD it is not (RFC 9110 9.3.2)."""
        self._response.set_status(status)
        self._response.headers.update(headers)
        cors: Mapping[str, str] = self._request.get(CORS, {})
        self._response.headers.update(cors)
        self._request[BEGUN] = True
        await self._response.prepare(self._request)
        return self._request.method != "HEAD"

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """The next bytes; returns when the client has room. They may be reused then."""
        transport = self._request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone away")
        with Progress(transport, self._stall):
            # A copy: the transport may hold what it could not send at once, and the caller's buffer is reused.
            await self._response.write(data if isinstance(data, bytes) else bytes(data))

    def cut(self) -> None:
        """End the connection in the middle of the body, so that the client sees that it is not whole."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def end(self) -> web.StreamResponse:
        """The body is complete."""
        await self._response.write_eof()
        return self._response


async def answer(
    request: web.BaseRequest, body: bytes, media_type: str, headers: Mapping[str, str] | None = None, status: int = 200
) -> web.Response:
    """A response that is in memory, compressed where the client takes it and it is worth it."""
    sent = {"Content-Type": media_type, **(headers or {})}
    if len(body) >= _WORTH_IT and (coding := coding_of(request.headers)):
        if len(body) >= _IN_A_THREAD:
            body = await asyncio.to_thread(compressed, coding, body)
        else:
            body = compressed(coding, body)
        sent |= {"Content-Encoding": coding, "Vary": "Accept, Accept-Encoding"}
    sent.setdefault("Vary", "Accept, Accept-Encoding")
    return web.Response(status=status, body=body, headers=sent)
