"""Reading one object: a ranged GET that resumes where the connection was cut."""

from __future__ import annotations

import re
from collections.abc import Sequence

import aiohttp

from gantry.common.adapters.s3.errors import DEPENDENCY
from gantry.common.adapters.s3.wire import SignedRequests
from gantry.common.errors import Corrupt, DependencyUnavailable

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")
_RESUMPTIONS = 5


class S3Reader:
    """`gantry.common.ports.blobs.BlobReader`. Made by `open_reader`."""

    def __init__(
        self,
        wire: SignedRequests,
        key: str,
        response: aiohttp.ClientResponse | None,
        at: int,
        end: int,
        size: int,
        etag: str | None = None,
    ):
        self.size = size
        self._etag = etag
        self._wire = wire
        self._key = key
        self._response = response
        self._at = at
        self._end = end
        self._left_over = memoryview(b"")
        self._resumptions = _RESUMPTIONS

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        filled = 0
        for buffer in buffers:
            view = memoryview(buffer).cast("B")
            while len(view) and self._at < self._end:
                # A view: cutting bytes would copy the rest of the piece for every PDU that is filled from it.
                piece = self._left_over or memoryview(await self._more())
                count = min(len(piece), len(view), self._end - self._at)
                view[:count] = piece[:count]
                self._left_over = piece[count:]
                view = view[count:]
                self._at += count
                filled += count
        return filled

    async def close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            if self._at >= self._end:
                await response.release()  # read to its end: the connection serves the next request
            response.close()

    async def _more(self) -> bytes:
        """The next bytes; from a new connection if the old one broke."""
        while True:
            if self._response is None:
                self._response = await self._wire.get(self._key, self._at, self._end - 1)
                _require_etag(self._response, self._etag)
                _require_range(self._response, self._at, self.size)
            try:
                # As received from the socket: asking for a number of bytes would copy them together.
                piece, goes_on = b"", True
                while goes_on and not piece:
                    piece, goes_on = await self._response.content.readchunk()
                if piece:
                    return piece
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            self._response.close()
            self._response = None
            self._resumptions -= 1
            if self._resumptions < 0:
                raise DependencyUnavailable(DEPENDENCY, "the connection was cut again and again")


def _require_range(response: aiohttp.ClientResponse, at: int, size: int) -> None:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status != 206 or match is None or match[1] is None or (int(match[1]), int(match[3])) != (at, size):
        response.close()
        raise DependencyUnavailable(DEPENDENCY, "the server did not answer with the range it was asked for")


def _require_etag(response: aiohttp.ClientResponse, etag: str | None) -> None:
    if etag is not None and response.status in (200, 206) and response.headers.get("ETag", "") != etag:
        response.close()
        raise Corrupt("an object in place was changed by its owner")


async def open_reader(
    wire: SignedRequests, key: str, offset: int, length: int | None, etag: str | None = None
) -> S3Reader:
    """Begin to read; a range beyond the end is cut to the object. With `etag`, `Corrupt` if the object has another one,
    now or whenever reading continues over another connection."""
    # If no byte is wanted, one is requested all the same: the answer has the size.
    last = None if length is None else offset + max(length, 1) - 1
    response = await wire.get(key, offset, last)
    _require_etag(response, etag)
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status == 416:
        response.close()
        if match is not None:
            size = int(match[3])
        else:  # a server that does not state the size in a refusal
            whole = await wire.get(key, 0, 0) if offset else None
            again = _CONTENT_RANGE.fullmatch(whole.headers.get("Content-Range", "")) if whole is not None else None
            size = int(again[3]) if again is not None else 0
            if whole is not None:
                whole.close()
        return S3Reader(wire, key, None, offset, offset, size)
    if response.status == 206 and match is not None:
        size = int(match[3])
        end = size if length is None else min(size, offset + length)
        return S3Reader(wire, key, response, offset, max(offset, end), size, etag)
    # An empty object, or a server that takes no ranges (then the whole comes).
    size = int(response.headers.get("Content-Length", 0))
    if size and offset:
        response.close()
        raise DependencyUnavailable(DEPENDENCY, "the server does not serve ranges")
    end = size if length is None else min(size, length)
    return S3Reader(wire, key, response, 0, end, size, etag)
