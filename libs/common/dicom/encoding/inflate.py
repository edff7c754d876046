"""Deflated data sets (PS3.5 A.5), inflated in small pieces and up to a limit."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from gantry.common.errors import NotUnderstood

_PIECE = 256 * 1024


class Inflater:
    """Raw deflate (RFC 1951), streamed. Never holds more than one piece, and never makes more than `max_length`."""

    def __init__(self, max_length: int) -> None:
        self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        self._left = max_length

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The inflated bytes that `chunk` completes. Bytes after the end of the deflated stream are padding.

        Raises `NotUnderstood` if the bytes are not deflated, or inflate to more than `max_length`.
        """
        while chunk and not self._zlib.eof:
            try:
                piece = self._zlib.decompress(chunk, _PIECE)
            except zlib.error as error:
                raise NotUnderstood("not a deflated data set") from error
            self._left -= len(piece)
            if self._left < 0:
                raise NotUnderstood("deflated data set is too large when inflated")
            chunk = self._zlib.unconsumed_tail
            if piece:
                yield piece

    def finish(self) -> Iterator[bytes]:
        """The bytes that zlib still held. Raises `NotUnderstood` if the stream has no end."""
        piece = b"" if self._zlib.eof else self._zlib.flush(_PIECE)
        if not self._zlib.eof:
            raise NotUnderstood("deflated data set is cut off")
        if piece:
            yield piece


def inflate_head(data: bytes, length: int) -> bytes:
    """The first `length` inflated bytes, or fewer if `data` does not hold as many. Raises `NotUnderstood`."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, length)
    except zlib.error as error:
        raise NotUnderstood("not a deflated data set") from error
