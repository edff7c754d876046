"""Compressed frames that follow each other in one bulk value: where each of them ends. Pure.

Reads forward in bounded pieces. Declared lengths are used to skip, but not trusted: a frame that does not end where the
next one begins is refused.
"""

from __future__ import annotations

import re

from gantry.common.errors import NotUnderstood
from gantry.services.ingest.stow.codestreams import Codestream, Read, codestream

MOST_FRAMES = 100_000
_PIECE = 1 << 20
_MAX_STEPS = 1_000_000
_SOI, _EOI, _SOS, _SOT = 0xD8, 0xD9, 0xDA, 0x90
# In scan data FF is followed by 0, or is a restart marker (ITU-T T.81 B.1.1.5); in JPEG-LS by less than 80 (T.87).
_IN_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_IN_SCAN_LS = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
# In tile data FF is followed by less than 90 (T.800 A.1).
_END_OF_TILES = re.compile(rb"\xff\xd9")


def frames_in(read: Read, count: int) -> tuple[Codestream, list[tuple[int, int]]]:
    """The format of `count` frames, and offset and length of each; a byte of padding may follow each frame. Raises
    `NotUnderstood` if there are more or fewer frames, or frames of several formats."""
    if not 0 < count <= MOST_FRAMES:
        raise NotUnderstood(f"compressed pixel data of {count} frames in one part")
    first, places, at = codestream(read), list[tuple[int, int]](), 0
    for number in range(1, count + 1):
        if codestream(_from(read, at)) != first:
            raise NotUnderstood("compressed frames of several kinds in one part")
        end = _end(read, at)
        places.append((at, end - at))
        at = end + (read(end, 1) == b"\0")
        if not read(at, 1) and number < count:
            raise NotUnderstood(f"a part of {number} compressed frames, where the metadata says {count}")
    if read(at, 1):
        raise NotUnderstood(f"a part of more compressed frames than the {count} that the metadata says")
    return first, places


def _from(read: Read, at: int) -> Read:
    return lambda offset, length: read(at + offset, length)


def _end(read: Read, at: int) -> int:
    head = read(at, 4)
    if head[:3] == b"\xff\xd8\xff":
        return _end_of_jpeg(read, at)
    if head == b"\xff\x4f\xff\x51":
        return _end_of_jpeg_2000(read, at)
    raise NotUnderstood("several frames in one part that are neither jpeg nor jpeg 2000 codestreams")


def _end_of_jpeg(read: Read, at: int) -> int:
    data, at = _IN_SCAN, at + 2
    for _ in range(_MAX_STEPS):
        marker, length = _marker(read, at)
        if marker == _EOI:
            return at + 2
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xF7:
            data = _IN_SCAN_LS
        if marker == _SOI:
            raise NotUnderstood("a compressed frame ends before its end")
        at += 2 + length
        if marker == _SOS:
            at = _next(read, at, data)
    raise NotUnderstood("pixel data has too many markers")


def _end_of_jpeg_2000(read: Read, at: int) -> int:
    at += 2
    for _ in range(_MAX_STEPS):
        marker, length = _marker(read, at)
        if marker == _EOI:
            return at + 2
        if marker != _SOT:
            at += 2 + length
            continue
        part = int.from_bytes(read(at + 6, 4), "big")
        # T.800 A.4.2: length 0 is the last tile-part, up to the end. A tile-part has at least this head and SOD.
        at = _next(read, at + 12, _END_OF_TILES) if part == 0 else at + max(part, 14)
    raise NotUnderstood("pixel data has too many markers")


def _marker(read: Read, at: int) -> tuple[int, int]:
    """A marker, and the length of its segment (0 if it has none)."""
    head = read(at, 4)
    if len(head) < 2 or head[0] != 0xFF:
        raise NotUnderstood("a compressed frame ends before its end")
    if head[1] in (_SOI, _EOI, 0xFF):
        return head[1], 0
    length = int.from_bytes(head[2:], "big")
    if len(head) < 4 or length < 2:
        raise NotUnderstood("a compressed frame ends before its end")
    return head[1], length


def _next(read: Read, at: int, marker: re.Pattern[bytes]) -> int:
    """Where the next marker of the pattern is."""
    while piece := read(at, _PIECE):
        match = marker.search(piece)
        if match is not None:
            return at + match.start()
        if len(piece) < 2:
            break
        at += len(piece) - 1
    raise NotUnderstood("a compressed frame ends before its end")
