"""Content-Encoding gzip of a request body (RFC 9110 8.4.1.3), inflated in small pieces and up to a limit. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from gantry.common.web.errors import HttpProblem

_PIECE = 256 * 1024
_FREE = 64 << 20
_RATIO = 100
"""Largest inflated size per compressed byte, beyond `_FREE` bytes: images have 2 to 10, a bomb 1000."""


class Gunzip:
    """Never holds more than one piece. Raises `HttpProblem`: 400 if the body is not gzip, 413 if it inflates to too
    much."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._taken = self._made = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The inflated pieces of the next bytes."""
        self._taken += len(data)
        while data:
            if self._zlib.eof:  # RFC 1952 2.2: members may follow each other
                self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                piece = self._zlib.decompress(data, _PIECE)
            except zlib.error as error:
                raise HttpProblem(400, "the body is not gzip") from error
            self._made += len(piece)
            if self._made > _FREE + _RATIO * self._taken:
                raise HttpProblem(413, "the body is too large when inflated")
            data = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
            if piece:
                yield piece

    def finish(self) -> None:
        """The body ends here. Raises `HttpProblem` 400 if it is cut off."""
        if self._taken and not self._zlib.eof:
            raise HttpProblem(400, "the gzip body is cut off")
