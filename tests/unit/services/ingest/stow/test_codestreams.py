"""What pixel data says of itself, against the encoders that wrote it: Pillow and CharLS."""

from __future__ import annotations

import io
import struct

import jpeg_ls
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gantry.common.errors import NotUnderstood
from gantry.services.ingest.stow.codestreams import TAKEN, Codestream, codestream
from tests.support.codestreams import HTJ2K

GREY = Image.fromarray(np.arange(48 * 32, dtype=np.uint32).reshape(32, 48).astype(np.uint8))
COLOUR = Image.merge("RGB", [GREY] * 3)


def of(data: bytes) -> Codestream:
    return codestream(lambda at, length: data[at : at + length])


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("image", "options", "photometric"),
    [
        (GREY, {}, "MONOCHROME2"),
        (COLOUR, {"subsampling": 0}, "YBR_FULL"),
        (COLOUR, {"subsampling": 1}, "YBR_FULL_422"),
        (COLOUR, {"keep_rgb": True}, "RGB"),
    ],
)
def test_a_jpeg_of_pillow_is_baseline_of_its_size_and_colour(
    image: Image.Image, options: dict[str, object], photometric: str
) -> None:
    stream = of(saved(image, "JPEG", **options))
    assert stream.transfer_syntax_uid == "1.2.840.10008.1.2.4.50"
    assert (stream.columns, stream.rows, stream.bits) == (48, 32, 8)
    assert (stream.samples, stream.photometric) == (len(image.getbands()), photometric)
    assert stream.lossy_method == "ISO_10918_1"


def test_a_progressive_jpeg_has_no_transfer_syntax_any_more() -> None:
    with pytest.raises(NotUnderstood):
        of(saved(GREY, "JPEG", progressive=True))


@pytest.mark.parametrize(
    ("irreversible", "syntax"), [(False, "1.2.840.10008.1.2.4.90"), (True, "1.2.840.10008.1.2.4.91")]
)
@pytest.mark.parametrize("image", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_jpeg_2000_codestream_says_whether_it_can_be_reversed(
    image: Image.Image, irreversible: bool, syntax: str
) -> None:
    stream = of(saved(image, "JPEG2000", irreversible=irreversible, no_jp2=True))
    assert stream.transfer_syntax_uid == syntax
    assert (stream.columns, stream.rows, stream.bits, stream.samples) == (48, 32, 8, len(image.getbands()))
    assert stream.lossy_method == ("ISO_15444_1" if irreversible else "")


def test_the_codestream_within_a_jp2_file_is_found() -> None:
    """PS3.5 8.2.4: a data set holds the codestream without the file around it."""
    file = saved(COLOUR, "JPEG2000")
    stream = of(file)
    bare = file[stream.offset : None if stream.length is None else stream.offset + stream.length]
    assert bare[:4] == b"\xff\x4f\xff\x51"
    assert bare[-2:] == b"\xff\xd9"
    assert of(bare).transfer_syntax_uid == stream.transfer_syntax_uid


def test_htj2k_is_told_from_jpeg_2000() -> None:
    stream = of(HTJ2K)
    assert (stream.transfer_syntax_uid, stream.rows, stream.columns, stream.bits) == (
        "1.2.840.10008.1.2.4.201",
        16,
        16,
        16,
    )


@pytest.mark.parametrize(("lossy", "syntax"), [(0, "1.2.840.10008.1.2.4.80"), (3, "1.2.840.10008.1.2.4.81")])
def test_jpeg_ls_says_whether_it_is_near_lossless(lossy: int, syntax: str) -> None:
    data = bytes(jpeg_ls.encode_array(np.asarray(GREY), lossy_error=lossy))
    stream = of(data)
    assert stream.transfer_syntax_uid == syntax
    assert (stream.columns, stream.rows, stream.bits, stream.photometric) == (48, 32, 8, "MONOCHROME2")


def jpeg(marker: int, *, bits: int = 8, samples: int = 1, predictor: int = 1) -> bytes:
    """ITU-T T.81 B.2.2, B.2.3: a frame header and a scan header."""
    frame = struct.pack(">BHHB", bits, 32, 48, samples) + b"".join(bytes((n + 1, 0x11, 0)) for n in range(samples))
    scan = bytes((samples,)) + b"".join(bytes((n + 1, 0)) for n in range(samples)) + bytes((predictor, 0, 0))
    out = b"\xff\xd8"
    for name, body in ((marker, frame), (0xDA, scan)):
        out += bytes((0xFF, name)) + struct.pack(">H", len(body) + 2) + body
    return out


@pytest.mark.parametrize(
    ("data", "syntax"),
    [
        (jpeg(0xC0), "1.2.840.10008.1.2.4.50"),
        (jpeg(0xC1), "1.2.840.10008.1.2.4.51"),
        (jpeg(0xC1, bits=12), "1.2.840.10008.1.2.4.51"),
        (jpeg(0xC3, bits=16, predictor=1), "1.2.840.10008.1.2.4.70"),
        (jpeg(0xC3, bits=16, predictor=6), "1.2.840.10008.1.2.4.57"),
    ],
)
def test_the_process_of_a_jpeg_is_its_transfer_syntax(data: bytes, syntax: str) -> None:
    """PS3.5 8.2.1."""
    assert of(data).transfer_syntax_uid == syntax
    assert syntax in TAKEN


@pytest.mark.parametrize("marker", [0xC2, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD])
def test_other_processes_are_refused(marker: int) -> None:
    with pytest.raises(NotUnderstood):
        of(jpeg(marker))


@pytest.mark.parametrize("samples", [0, 2, 4])
def test_neither_one_nor_three_components_are_refused(samples: int) -> None:
    with pytest.raises(NotUnderstood):
        of(jpeg(0xC0, samples=samples))


WHOLE = [
    saved(GREY, "JPEG"),
    saved(COLOUR, "JPEG2000"),
    saved(GREY, "JPEG2000", no_jp2=True),
    HTJ2K,
]


@given(st.sampled_from(WHOLE), st.data())
def test_no_bytes_raise_anything_but_not_understood(whole: bytes, data: st.DataObject) -> None:
    """Cut anywhere, and with any of the first bytes another one."""
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if broken:
            broken[data.draw(st.integers(0, min(len(broken), 200) - 1))] = data.draw(st.integers(0, 255))
    try:
        of(bytes(broken))
    except NotUnderstood:
        pass


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(20), b"DICM", bytes(100), b"\xff\xd8\xff"])
def test_what_is_none_of_these_is_refused(data: bytes) -> None:
    with pytest.raises(NotUnderstood):
        of(data)
