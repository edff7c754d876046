"""Which fragments of encapsulated pixel data make which frame (PS3.5 A.4): by the offset table, by their number, by how
each of them begins, or by their length. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from struct import iter_unpack

from gantry.common.dicom.standard.transfer_syntaxes import ENCAPSULATED_UNCOMPRESSED, RLE_LOSSLESS
from gantry.services.retrieve.pixels.codecs import HIGH_THROUGHPUT, JPEG, JPEG_2000, JPEG_LS
from gantry.services.retrieve.pixels.image import Image

HEAD = 12
"""Bytes of a fragment that show whether a codestream begins with it."""

# SOI followed by another marker (ITU-T T.81 B.2.1, T.87 C.1.1); SOC and SIZ (T.800 A.4), or the signature box of a JP2
# file; the same of JPEG XL (ISO 18181-2). Scan data never look like that, tile data with a probability of 2 to the -32,
# and then too many frames are found.
_SOI, _SOC, _JP2 = b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "
_JXL, _JXL_FILE = b"\xff\x0a", b"\0\0\0\x0cJXL "
_PART_2 = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (92, 93))
_JPEG_XL = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (110, 111, 112))


@dataclass(frozen=True, slots=True)
class Frames:
    """Offset in the data set and length of each fragment, and the number of the first fragment of each frame, followed
    by the number of fragments."""

    starts: array[int]
    lengths: array[int]
    firsts: array[int]

    def of(self, number: int) -> list[tuple[int, int]]:
        """Offset and length of the fragments of a frame (frames count from 1); empty fragments are left out."""
        chosen = range(self.firsts[number - 1], self.firsts[number])
        return [(self.starts[item], self.lengths[item]) for item in chosen if self.lengths[item]]


def can_begin(transfer_syntax: str) -> bool:
    """Whether the beginning of a codestream of this transfer syntax can be recognised."""
    known = JPEG | JPEG_LS | JPEG_2000 | HIGH_THROUGHPUT | _PART_2 | _JPEG_XL
    return transfer_syntax in known or transfer_syntax == RLE_LOSSLESS


def begins(image: Image, head: bytes) -> bool:
    """Whether a codestream begins with these bytes."""
    syntax = image.transfer_syntax
    if syntax in JPEG or syntax in JPEG_LS:
        return head.startswith(_SOI)
    if syntax in JPEG_2000 or syntax in HIGH_THROUGHPUT or syntax in _PART_2:
        return head.startswith((_SOC, _JP2))
    if syntax in _JPEG_XL:
        return head.startswith((_JXL, _JXL_FILE))
    # PS3.5 G.5: the number of segments, one for each byte of a pixel, and where the first begins.
    segments = image.samples * max(1, image.allocated // 8)
    return head[:8] == segments.to_bytes(4, "little") + (64).to_bytes(4, "little")


def by_count(lengths: Sequence[int], frames: int) -> list[int] | None:
    """One non-empty fragment for each frame; None if their numbers differ."""
    filled = [item for item, length in enumerate(lengths) if length]
    return [0, *filled[1:]] if len(filled) == frames else None


def by_table(table: bytes, form: str, lengths: Sequence[int]) -> list[int] | None:
    """The first fragments that an offset table names; None unless it names beginnings of fragments, starting with the
    first, in order, and no frame is empty."""
    places = {start: item for item, start in enumerate(accumulate([length + 8 for length in lengths], initial=0))}
    firsts = [places.get(offset, -1) for (offset,) in iter_unpack(form, table)]
    ends = [*firsts[1:], len(lengths)]
    if not firsts or firsts[0] != 0 or not all(a < b for a, b in zip(firsts, ends, strict=True)):
        return None
    return firsts if all(any(lengths[a:b]) for a, b in zip(firsts, ends, strict=True)) else None


def by_beginnings(is_first: Sequence[bool], lengths: Sequence[int], frames: int) -> list[int] | None:
    """The fragments that begin like a codestream; None if their number is not that of the frames, or if the first
    non-empty fragment is not among them."""
    firsts = [item for item, first in enumerate(is_first) if first]
    filled = next((item for item, length in enumerate(lengths) if length), -1)
    return [0, *firsts[1:]] if len(firsts) == frames and firsts[0] == filled else None


def by_length(image: Image, lengths: Sequence[int]) -> list[int] | None:
    """First fragments of uncompressed frames (PS3.5 A.4.11), by length; None if fragments and frames do not match."""
    if image.transfer_syntax != ENCAPSULATED_UNCOMPRESSED:
        return None
    size, firsts, filled = image.frame_bytes, [0], 0
    for item, length in enumerate(lengths):
        if filled >= size:
            firsts.append(item)
            filled = 0
        filled += length
        if filled > size + 1:
            return None
    return firsts if len(firsts) == image.frames and filled >= size else None
