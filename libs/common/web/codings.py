"""Content codings of answers (RFC 9110 8.4.1, RFC 7932): which one a client wants, and its compressor. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Protocol

import brotli

from gantry.common.web.headers import items, weight

CODINGS = ("br", "gzip")
"""The supported codings, the better one first."""
_BROTLI_QUALITY = 4
"""As fast as gzip at its fastest, and a third smaller."""


class Compressor(Protocol):
    """Compresses a body piece by piece."""

    def compress(self, data: bytes, /) -> bytes:
        """Compressed bytes to send, perhaps none yet."""

    def flush(self) -> bytes:
        """The last compressed bytes."""


class _Brotli:
    def __init__(self) -> None:
        self._compressor = brotli.Compressor(mode=brotli.MODE_TEXT, quality=_BROTLI_QUALITY)

    def compress(self, data: bytes, /) -> bytes:
        return bytes(self._compressor.process(data))

    def flush(self) -> bytes:
        return bytes(self._compressor.finish())


def compressor(coding: str) -> Compressor:
    """A new compressor of one of `CODINGS`."""
    return _Brotli() if coding == "br" else zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)


def compressed(coding: str, body: bytes) -> bytes:
    """A whole body, compressed."""
    encoder = compressor(coding)
    return encoder.compress(body) + encoder.flush()


def coding_of(headers: Mapping[str, str]) -> str:
    """The coding that a client prefers by its Accept-Encoding (RFC 9110 12.5.3), among equals our first; "" for
    none."""
    weights: dict[str, float] = {}
    for item in items(headers, "Accept-Encoding"):
        name, _, q = item.lower().replace(" ", "").partition(";q=")
        weights[name] = weight(q or "1")
    wanted = {coding: weights.get(coding, weights.get("*", 0.0)) for coding in CODINGS}
    best = max(CODINGS, key=lambda coding: wanted[coding])
    return best if wanted[best] > 0 else ""
