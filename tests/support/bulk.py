"""Compressed pixel data for bulk data parts: frames of pydicom's files, and a small MP4 made of boxes."""

from __future__ import annotations

from struct import pack

import pydicom
from pydicom.encaps import get_frame

from tests.support.dicom import bundled_file


def frame(name: str) -> tuple[bytes, pydicom.Dataset]:
    """The first frame of a bundled file, and its data set."""
    data_set = pydicom.dcmread(bundled_file(name))
    frames = int(data_set.get("NumberOfFrames", 1))
    return get_frame(data_set.PixelData, 0, number_of_frames=frames), data_set


def box(type_: bytes, *content: bytes) -> bytes:
    whole = b"".join(content)
    return pack(">I", len(whole) + 8) + type_ + whole


def mp4(*, columns: int = 640, rows: int = 480, frames: int = 50, level: int = 31, profile: int = 100) -> bytes:
    """A file with one video track, whose samples are not real video: no test decodes them."""
    configuration = box(b"avcC", bytes([1, profile, 0, level, 0xFF, 0xE1]))
    entry = bytes(6) + pack(">H", 1) + bytes(16) + pack(">HH", columns, rows) + bytes(50)
    table = box(
        b"stbl",
        box(b"stsd", bytes(4) + pack(">I", 1), box(b"avc1", entry, configuration)),
        box(b"stsz", bytes(4) + pack(">II", 0, frames) + pack(">I", 10) * frames),
    )
    media = box(
        b"mdia",
        box(b"mdhd", bytes(12) + pack(">II", 25_000, 1000 * frames) + bytes(4)),
        box(b"hdlr", bytes(8) + b"vide" + bytes(13)),
        box(b"minf", table),
    )
    movie = box(b"moov", box(b"mvhd", bytes(100)), box(b"trak", box(b"tkhd", bytes(84)), media))
    return box(b"ftyp", b"isom", bytes(4)) + box(b"mdat", bytes(10 * frames)) + movie


def jp2(stream: bytes) -> bytes:
    """A JPEG 2000 codestream in the boxes of its file format."""
    return box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 ", bytes(4), b"jp2 ") + box(b"jp2c", stream)
