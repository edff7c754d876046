"""Compresses a block, and restores it. For worker processes: it imports numpy and the codec, which holds the
interpreter's lock while it works."""

from __future__ import annotations

import zlib

import jpeg_ls
import numpy as np

from gantry.common.dicom.packing.cutting import Cut, Strip
from gantry.common.dicom.packing.form import Block, Coding
from gantry.common.errors import Corrupt

_WORTH = 0.9
"""A block that does not shrink below this part of its length stays as it is: restoring it costs time."""
_MOST_SIDE = 65535
"""Lines and columns of a JPEG-LS image without an extension (ISO 14495-1 C.2.2)."""
_DEPTH = 6


def pack(cut: Cut) -> tuple[Block, bytes]:
    """A block and its stored bytes. Restoring them yields the original: that has been verified when this returns."""
    data = cut.data
    checksum = zlib.crc32(data)
    packed = _jpeg_ls(data, cut.strip, checksum) if cut.strip is not None else None
    if packed is not None:
        return packed
    deflated = zlib.compress(data, _DEPTH)
    if len(deflated) > len(data) * _WORTH or zlib.decompress(deflated) != data:
        return Block(Coding.PLAIN, len(data), len(data), checksum), data
    return Block(Coding.DEFLATED, len(data), len(deflated), checksum), deflated


def unpack(block: Block, stored: bytes) -> bytes:
    """The bytes of a block. Raises `Corrupt` if they differ from the original ones."""
    try:
        data = _unpacked(block, stored)
    except (ValueError, RuntimeError, MemoryError, zlib.error) as error:
        raise Corrupt("a packed block cannot be read") from error
    if len(data) != block.length or zlib.crc32(data) != block.checksum:
        raise Corrupt("a packed block is damaged")
    return data


def _unpacked(block: Block, stored: bytes) -> bytes:
    if block.coding is Coding.PLAIN:
        return stored
    if block.coding is Coding.DEFLATED:
        return zlib.decompressobj().decompress(stored, block.length)
    decoded = jpeg_ls.decode_buffer(stored)[0]
    # Samples of up to 8 bits come out as a byte each.
    coded = np.frombuffer(decoded, dtype=f"<u{block.width if len(decoded) == block.length else 1}")
    samples = coded.astype(f"<u{block.width}", copy=False)
    # The addition wraps around, like the subtraction in `_from_least`.
    data: bytes = (samples + samples.dtype.type(block.least)).tobytes()
    return data


def _jpeg_ls(data: bytes, strip: Strip, checksum: int) -> tuple[Block, bytes] | None:
    """None if samples cannot be coded like this, or do not become shorter."""
    lines = len(data) // strip.line
    if len(data) % strip.line or max(lines, strip.columns) > _MOST_SIDE or strip.samples not in (1, 3):
        return None
    samples, least = _from_least(np.frombuffer(data, dtype=f"<u{strip.width}"))
    if int(samples.max()) < 3:
        return None  # JPEG-LS has no precision below two bits; deflated, the block is short
    if int(samples.max()) < 256:
        samples = samples.astype(np.uint8, copy=False)
    shape = (lines, strip.columns) if strip.samples == 1 else (lines, strip.columns, strip.samples)
    try:
        stored = bytes(jpeg_ls.encode_array(samples.reshape(shape)))
        block = Block(Coding.JPEG_LS, len(data), len(stored), checksum, strip.width, least)
        if len(stored) > len(data) * _WORTH or unpack(block, stored) != data:
            return None
    except (ValueError, RuntimeError, Corrupt):
        return None
    return block, stored


def _from_least(samples: np.ndarray[tuple[int, ...], np.dtype[np.uint8 | np.uint16]]) -> tuple[np.ndarray, int]:
    """Samples relative to their least, which is returned, too. Of the signed and the unsigned reading it takes the one
    with the smaller range: otherwise half of the samples of a CT would be at either end."""
    signed = samples.view(np.dtype(f"<i{samples.itemsize}"))
    low, high = int(samples.min()), int(samples.max())
    signed_low, signed_high = int(signed.min()), int(signed.max())
    if signed_high - signed_low < high - low:
        low = signed_low % (1 << 8 * samples.itemsize)
    return samples - samples.dtype.type(low), low
