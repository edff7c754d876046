"""Part 10 files with native pixel data of a given shape, some of them invalid, written without a library."""

from __future__ import annotations

import zlib
from struct import pack

import numpy

from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, encoding_of

CT = "1.2.840.10008.5.1.4.1.1.2"


def samples(count: int, width: int, seed: int = 1) -> bytes:
    """Little endian samples that change slowly, like those of images."""
    values = 1000 + numpy.cumsum(numpy.random.default_rng(seed).integers(-2, 3, count))
    return values.astype(f"<u{width}").tobytes()


def image_file(
    *,
    rows: int,
    columns: int,
    frames: int = 1,
    samples_per_pixel: int = 1,
    allocated: int = 16,
    planar: int = 0,
    signed: int = 0,
    photometric: str = "",
    syntax: str = EXPLICIT_LITTLE_ENDIAN,
    claimed_rows: int | None = None,
    claimed_frames: int | str | None = None,
    pixels: bytes | None = None,
    behind: bytes = b"",
) -> bytes:
    """`claimed_rows` and `claimed_frames` are wrong values for the header; `behind` follows the pixels."""
    encoding = encoding_of(syntax)
    order = ">" if encoding.big_endian else "<"

    def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
        value += (b"\0" if vr in (b"UI", b"OB", b"OW") else b" ") * (len(value) & 1)
        tag = pack(f"{order}HH", group, number)
        if not encoding.explicit:
            return tag + pack(f"{order}I", len(value)) + value
        long = vr in (b"OB", b"OW")
        return (
            tag
            + vr
            + pack(f"{order}HI" if long else f"{order}H", *((0, len(value)) if long else (len(value),)))
            + value
        )

    def number(element_number: int, value: int) -> bytes:
        return element(0x0028, element_number, b"US", pack(f"{order}H", value))

    width = max(1, allocated // 8)
    if pixels is None:
        pixels = samples(rows * columns * frames * samples_per_pixel, width)
    colour = "RGB" if samples_per_pixel == 3 else "MONOCHROME2"
    data_set = b"".join(
        [
            element(0x0008, 0x0016, b"UI", CT.encode()),
            element(0x0008, 0x0018, b"UI", b"1.2.3"),
            element(0x0020, 0x000D, b"UI", b"1.2.1"),
            element(0x0020, 0x000E, b"UI", b"1.2.2"),
            number(0x0002, samples_per_pixel),
            element(0x0028, 0x0004, b"CS", (photometric or colour).encode()),
            number(0x0006, planar),
            element(0x0028, 0x0008, b"IS", str(frames if claimed_frames is None else claimed_frames).encode()),
            number(0x0010, rows if claimed_rows is None else claimed_rows),
            number(0x0011, columns),
            number(0x0100, allocated),
            number(0x0101, allocated),
            number(0x0103, signed),
            element(0x7FE0, 0x0010, b"OW" if allocated > 8 else b"OB", pixels),
            behind,
        ]
    )
    if encoding.deflated:
        deflater = zlib.compressobj(wbits=-15)
        data_set = deflater.compress(data_set) + deflater.flush()
    return file_meta(CT, "1.2.3", syntax) + data_set
