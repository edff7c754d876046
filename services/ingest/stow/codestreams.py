"""Identifies bulk pixel data by its own headers: JPEG, JPEG-LS, JPEG 2000 and MP4. Pure; reads a few bytes in place.

Sizes that a file declares are never trusted: reading goes forward, in bounded steps, and ends where the bytes do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gantry.common.dicom.standard.transfer_syntaxes import (
    HEVC_MAIN_10_51,
    HEVC_MAIN_51,
    HTJ2K,
    HTJ2K_LOSSLESS,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    JPEG_LS_NEAR_LOSSLESS,
    MPEG4_HIGH_41,
    MPEG4_HIGH_42_2D,
    TRANSFER_SYNTAXES,
)
from gantry.common.errors import NotUnderstood

Read = Callable[[int, int], bytes]
"""(offset, length) to bytes: at most `length` bytes from `offset`, fewer at the end."""

_MAX_STEPS = 10_000
_MAX_BOX = 16 << 20

TAKEN = (
    *(JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS, JPEG_LOSSLESS_SV1, JPEG_LS_LOSSLESS, JPEG_LS_NEAR_LOSSLESS),
    *(JPEG_2000_LOSSLESS, JPEG_2000, HTJ2K_LOSSLESS, HTJ2K),
    *(MPEG4_HIGH_41, MPEG4_HIGH_42_2D, HEVC_MAIN_51, HEVC_MAIN_10_51),
)
"""The transfer syntaxes that are recognised by their bytes."""


@dataclass(frozen=True, slots=True)
class Codestream:
    """An image or video: its transfer syntax, its values for the Image Pixel module (PS3.3 C.7.6.3), and where it
    begins in its file; `length` is None if it extends to the end. `frame_time` is in ms, for video."""

    transfer_syntax_uid: str
    rows: int
    columns: int
    samples: int
    bits: int
    photometric: str
    offset: int = 0
    length: int | None = None
    frames: int = 1
    frame_time: float = 0.0

    @property
    def lossy_method(self) -> str:
        """PS3.3 C.7.6.1.1.5.1; "" if the transfer syntax is lossless."""
        return TRANSFER_SYNTAXES[self.transfer_syntax_uid].lossy_method


def codestream(read: Read) -> Codestream:
    """The format of the bytes, whatever their declared media type. Raises `NotUnderstood` if it is unknown."""
    head = read(0, 16)
    if head[:3] == b"\xff\xd8\xff":
        return _jpeg(read)
    if head[:4] == b"\xff\x4f\xff\x51":
        return _jpeg_2000(read, 0, None)
    if head[4:8] == b"jP  ":
        at, length = _box(read, b"jp2c")
        return _jpeg_2000(read, at, length)
    if head[4:8] == b"ftyp":
        return _mp4(read)
    raise NotUnderstood("pixel data that is no jpeg, jpeg-ls, jpeg 2000 or mp4")


def _number(data: bytes, at: int, length: int) -> int:
    if len(data) < at + length:
        raise NotUnderstood("pixel data is cut off")
    return int.from_bytes(data[at : at + length], "big")


# ---- JPEG (ITU-T T.81 B.1.1.4) and JPEG-LS (T.87 C.1)


def _segments(read: Read, at: int) -> Iterator[tuple[int, bytes]]:
    """Markers and the beginning of their segments, up to the first scan."""
    for _ in range(_MAX_STEPS):
        head = read(at, 4)
        if len(head) < 4 or head[0] != 0xFF:
            raise NotUnderstood("pixel data is no whole jpeg")
        if head[1] == 0xFF:  # a fill byte
            at += 1
            continue
        if 0xD0 <= head[1] <= 0xD8 or head[1] == 0x01:
            at += 2
            continue
        length = _number(head, 2, 2)
        yield head[1], read(at + 4, min(max(length - 2, 0), 64))
        if head[1] == 0xDA:
            return
        at += 2 + max(length, 2)
    raise NotUnderstood("pixel data has too many markers")


def _jpeg(read: Read) -> Codestream:
    frame: tuple[int, bytes] | None = None
    adobe = -1
    for marker, segment in _segments(read, 2):
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            frame = marker, segment
        elif marker == 0xEE and segment[:5] == b"Adobe":
            adobe = _number(segment, 11, 1)
        elif marker == 0xDA and frame is not None:
            return _jpeg_frame(*frame, segment, adobe)
    raise NotUnderstood("pixel data is a jpeg without a frame")


def _jpeg_frame(marker: int, frame: bytes, scan: bytes, adobe: int) -> Codestream:
    bits, rows, columns, samples = (_number(frame, *where) for where in ((0, 1), (1, 2), (3, 2), (5, 1)))
    # The parameters at the end of a scan header: in JPEG, Ss is the lossless predictor; in JPEG-LS, NEAR has its place.
    first = _number(scan, 1 + 2 * _number(scan, 0, 1), 1)
    if marker in (0xC0, 0xC1):
        syntax = JPEG_BASELINE if marker == 0xC0 and bits == 8 else JPEG_EXTENDED
    elif marker == 0xC3:
        syntax = JPEG_LOSSLESS_SV1 if first == 1 else JPEG_LOSSLESS
    elif marker == 0xF7:
        syntax = JPEG_LS_NEAR_LOSSLESS if first else JPEG_LS_LOSSLESS
    else:
        raise NotUnderstood("a process of jpeg that dicom has no transfer syntax for")
    if samples not in (1, 3) or not rows or not columns:
        raise NotUnderstood("a jpeg of neither one nor three components, or of no size")
    subsampled = samples == 3 and _number(frame, 7, 1) != 0x11
    if samples == 1:
        photometric = "MONOCHROME2"
    elif adobe == 0 or marker in (0xC3, 0xF7):
        photometric = "RGB"
    else:
        photometric = "YBR_FULL_422" if subsampled else "YBR_FULL"
    return Codestream(syntax, rows, columns, samples, bits, photometric)


# ---- JPEG 2000 (ITU-T T.800 A.5, A.6; T.814 for HTJ2K)


def _jpeg_2000(read: Read, offset: int, length: int | None) -> Codestream:
    size = read(offset + 4, 64)
    left, top = _number(size, 12, 4), _number(size, 16, 4)
    columns, rows = _number(size, 4, 4) - left, _number(size, 8, 4) - top
    samples, bits = _number(size, 36, 2), (_number(size, 38, 1) & 0x7F) + 1
    if samples not in (1, 3) or not 0 < rows <= 0xFFFF or not 0 < columns <= 0xFFFF:
        raise NotUnderstood("a jpeg 2000 image of neither one nor three components, or of no size")
    high_throughput, style = False, b""
    at = offset + 2
    for _ in range(_MAX_STEPS):
        head = read(at, 4)
        if len(head) < 4 or head[0] != 0xFF or head[1] == 0x90:
            break
        high_throughput = high_throughput or head[1] == 0x50
        if head[1] == 0x52:
            style = read(at + 4, 16)
        at += 2 + max(_number(head, 2, 2), 2)
    if not style:
        raise NotUnderstood("a jpeg 2000 image without coding style")
    reversible, mixed = _number(style, 9, 1) == 1, _number(style, 4, 1) == 1
    syntax = (HTJ2K_LOSSLESS if reversible else HTJ2K) if high_throughput else JPEG_2000_LOSSLESS
    if not high_throughput and not reversible:
        syntax = JPEG_2000
    colour = ("YBR_RCT" if reversible else "YBR_ICT") if mixed else "RGB"
    photometric = "MONOCHROME2" if samples == 1 else colour
    return Codestream(syntax, rows, columns, samples, bits, photometric, offset, length)


# ---- boxes (ISO/IEC 14496-12 4.2), which JP2 and MP4 have


def _boxes(read: Read, at: int, end: int | None) -> Iterator[tuple[bytes, int, int | None]]:
    """Type of each box, and where its content begins and ends (None: at the end of the file)."""
    for _ in range(_MAX_STEPS):
        head = read(at, 16)
        if len(head) < 8 or (end is not None and at + 8 > end):
            return
        length, start = _number(head, 0, 4), at + 8
        if length == 1:
            length, start = _number(head, 8, 8), at + 16
        if length == 0:
            yield head[4:8], start, end
            return
        if length < start - at:
            raise NotUnderstood("a box without size")
        yield head[4:8], start, at + length
        at += length


def _box(read: Read, *path: bytes) -> tuple[int, int | None]:
    """Where the content of the first box of this path begins, and its length."""
    at, end = 0, None
    for name in path:
        for type_, start, stop in _boxes(read, at, end):
            if type_ == name:
                at, end = start, stop
                break
        else:
            raise NotUnderstood(f"no {name.decode()} box")
    return at, None if end is None else end - at


def _mp4(read: Read) -> Codestream:
    at, length = _box(read, b"moov")
    if length is None or length > _MAX_BOX:
        raise NotUnderstood("an mp4 file whose moov box is too large")
    movie = read(at, length)

    def within(offset: int, count: int) -> bytes:
        return movie[offset : offset + count]

    for type_, start, stop in _boxes(within, 0, len(movie)):
        if type_ == b"trak":
            codestream = _video(movie[start:stop])
            if codestream is not None:
                return codestream
    raise NotUnderstood("an mp4 file without video that dicom has a transfer syntax for")


def _video(track: bytes) -> Codestream | None:
    def within(offset: int, count: int) -> bytes:
        return track[offset : offset + count]

    handler, _ = _box(within, b"mdia", b"hdlr")
    if track[handler + 8 : handler + 12] != b"vide":
        return None
    entry, _ = _box(within, b"mdia", b"minf", b"stbl", b"stsd")
    entry += 8  # version, flags and count
    coding = track[entry + 4 : entry + 8]
    columns, rows = _number(track, entry + 32, 2), _number(track, entry + 34, 2)
    syntax, bits = _video_syntax(coding, track[entry + 86 : entry + 86 + 4096])
    sizes, _ = _box(within, b"mdia", b"minf", b"stbl", b"stsz")
    frames = _number(track, sizes + 8, 4)
    header, _ = _box(within, b"mdia", b"mdhd")
    wide = 8 if track[header : header + 1] == b"\1" else 4
    scale, duration = _number(track, header + 4 + 2 * wide, 4), _number(track, header + 8 + 2 * wide, wide)
    if not frames or not rows or not columns:
        raise NotUnderstood("a video of no frames, or of no size")
    frame_time = 1000 * duration / scale / frames if scale else 0.0
    photometric = "YBR_PARTIAL_420"
    return Codestream(syntax, rows, columns, 3, bits, photometric, frames=frames, frame_time=frame_time)


def _video_syntax(coding: bytes, configuration: bytes) -> tuple[str, int]:
    """PS3.5 8.2.7 to 8.2.11: by codec, profile and level; and bits per sample."""
    if coding in (b"avc1", b"avc3") and (at := configuration.find(b"avcC")) >= 0:
        profile, level = _number(configuration, at + 5, 1), _number(configuration, at + 7, 1)
        if profile in (66, 77, 100) and level <= 42:
            return (MPEG4_HIGH_41 if level <= 41 else MPEG4_HIGH_42_2D), 8
    if coding in (b"hvc1", b"hev1") and (at := configuration.find(b"hvcC")) >= 0:
        profile = _number(configuration, at + 5, 1) & 0x1F
        if profile in (1, 2):
            return (HEVC_MAIN_51, 8) if profile == 1 else (HEVC_MAIN_10_51, 10)
    raise NotUnderstood("a video codec, profile or level that dicom has no transfer syntax for")
