"""Bodies with limits and deadlines: reading requests, writing parts and bytes."""

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
"""Headers for every answer to this request."""
BEGUN: web.RequestKey[bool] = web.RequestKey("begun", bool)
"""The head of the answer has been sent: an error from now on can only cut the answer."""
_WORTH_IT = 1024
_IN_A_THREAD = 1 << 16


async def body_of(request: web.BaseRequest, limit: int, stall: float) -> AsyncIterator[bytes]:
    """The body in pieces as they arrive, inflated if it is gzip.

    Raises `HttpProblem`: 413 beyond `limit` bytes, or for a decompression bomb; 408 if no bytes arrived for `stall`
    seconds, or fewer than `SLOWEST` per second of the time that we waited; 415 for another content coding; 400 if the
    body breaks off.
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
        # Only the time in which we were ready to read: a slow store is not the client's fault.
        waited += clock() - begun
        if waited > stall and taken < SLOWEST * waited:
            raise HttpProblem(408, f"less than {SLOWEST} bytes a second came", {"Connection": "close"})
        if taken > limit:
            raise HttpProblem(413, f"the body is longer than {limit} bytes")
        yield piece


class BodyWriter:
    """A response whose body is written piece by piece. The connection is ended if the client accepts no bytes for
    `stall` seconds, or fewer than `SLOWEST` bytes a second."""

    def __init__(self, request: web.BaseRequest, stall: float) -> None:
        self._request = request
        self._stall = stall
        self._response = web.StreamResponse()

    async def begin(self, status: int, headers: Mapping[str, str]) -> bool:
        """Send the head. Returns whether a body is wanted: not for HEAD (RFC 9110 9.3.2)."""
        self._response.set_status(status)
        self._response.headers.update(headers)
        cors: Mapping[str, str] = self._request.get(CORS, {})
        self._response.headers.update(cors)
        self._request[BEGUN] = True
        await self._response.prepare(self._request)
        return self._request.method != "HEAD"

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send the next bytes; returns when the client has room. The buffer may then be reused."""
        transport = self._request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone away")
        with Progress(transport, self._stall):
            # A copy: the transport may hold what it could not send at once, and the caller's buffer is reused.
            await self._response.write(data if isinstance(data, bytes) else bytes(data))

    def cut(self) -> None:
        """Abort the connection, so that the client sees that the body is incomplete."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def end(self) -> web.StreamResponse:
        """The body is complete."""
        await self._response.write_eof()
        return self._response


async def answer(
    request: web.BaseRequest, body: bytes, media_type: str, headers: Mapping[str, str] | None = None, status: int = 200
) -> web.Response:
    """A response in memory, compressed if the client accepts that and the body is long enough."""
    sent = {"Content-Type": media_type, **(headers or {})}
    if len(body) >= _WORTH_IT and (coding := coding_of(request.headers)):
        if len(body) >= _IN_A_THREAD:
            body = await asyncio.to_thread(compressed, coding, body)
        else:
            body = compressed(coding, body)
        sent |= {"Content-Encoding": coding, "Vary": "Accept, Accept-Encoding"}
    sent.setdefault("Vary", "Accept, Accept-Encoding")
    return web.Response(status=status, body=body, headers=sent)
