"""Deflated zeros: a few bytes that inflate to many."""

from __future__ import annotations

import struct
import zlib

_MEBIBYTE = 1 << 20


def deflated_zeros(mebibytes: int) -> bytes:
    """A raw deflate stream (RFC 1951) of that many MiB of zeros, about a kilobyte for each; made in no time."""
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    # Each piece is flushed so that nothing before it is referred to: all pieces are the same bytes.
    piece = compressor.compress(bytes(_MEBIBYTE)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return piece * mebibytes + zlib.compressobj(9, wbits=-zlib.MAX_WBITS).flush()


def gzipped_zeros(mebibytes: int) -> bytes:
    """The same as a gzip member (RFC 1952)."""
    content = deflated_zeros(mebibytes)
    checksum = 0
    for _ in range(mebibytes):
        checksum = zlib.crc32(bytes(_MEBIBYTE), checksum)
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + content + struct.pack("<II", checksum, mebibytes * _MEBIBYTE)
