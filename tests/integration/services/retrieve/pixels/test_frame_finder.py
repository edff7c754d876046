"""Frames of encapsulated objects whose offset table says nothing of use, over real connections."""

from __future__ import annotations

import pytest
from pydicom.uid import MPEG2MPML, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from tests.integration.services.retrieve.dicomweb.test_objects import STORED, get, parts, path_of
from tests.support.objects import data_set
from tests.support.web import WebSite


def codestreams(syntax: str) -> list[bytes]:
    """Four that begin and end as the standard wants it, of unequal lengths."""
    begin, end = (b"\xff\x4f\xff\x51", b"\xff\xd9") if "4.9" in syntax else (b"\xff\xd8\xff\xdb", b"\xff\xd9")
    return [begin + bytes([n]) * (30 + 2 * n) + end for n in range(1, 5)]


def in_fragments(frames: list[bytes], table: bytes, per_frame: list[int]) -> bytes:
    """Encapsulated pixel data with this Basic Offset Table, each frame in as many fragments as its number says."""
    items = [table]
    for frame, count in zip(frames, per_frame, strict=True):
        size = len(frame) // count & ~1
        items += [frame[n * size : (n + 1) * size if n + 1 < count else None] for n in range(count)]
    return b"".join(b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item for item in items)


def _offsets(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little") for value in values)


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize(
    "table",
    [
        b"",
        _offsets(0, 0, 0, 0),
        _offsets(0, 5, 9, 13),
        _offsets(0, 46),
        b"\xff" * 16,
        _offsets(8, 48, 90, 134),
        b"x" * 64,
    ],
    ids=["none", "zeros", "within", "short", "beyond", "late", "long"],
)
async def test_frames_without_a_table_of_use_are_told_apart_by_their_codestreams(
    site: WebSite, syntax: str, table: bytes
) -> None:
    frames = codestreams(syntax)
    ds = data_set(study="1.2", series="1.3", instance="1.4", size=4)
    ds.file_meta.TransferSyntaxUID, ds.NumberOfFrames = syntax, 4
    ds.PixelData = in_fragments(frames, table, [1, 3, 2, 1])
    await site.keep(ds)
    pairs = await parts(site, path_of(ds) + "/frames/1,2,3,4", STORED)
    assert [body for _, body in pairs] == frames
    assert [body for _, body in await parts(site, path_of(ds) + "/frames/3", STORED)] == [frames[2]]


@pytest.mark.parametrize(
    ("syntax", "frames"),
    [
        (RLELossless, codestreams(JPEGBaseline8Bit)),  # a fragment is a frame, always (PS3.5 A.4.2)
        (JPEGBaseline8Bit, codestreams(JPEG2000Lossless)),
        (JPEGBaseline8Bit, [b"\xff\xd8\xff\xdb" * 20, *codestreams(JPEGBaseline8Bit)[1:]]),
        (JPEGBaseline8Bit, [b"\0" * 40, *codestreams(JPEGBaseline8Bit)[1:]]),
        (MPEG2MPML, codestreams(JPEGBaseline8Bit)),
    ],
    ids=["rle", "other", "too many", "too few", "video"],
)
async def test_frames_that_cannot_be_told_apart_are_not_there(site: WebSite, syntax: str, frames: list[bytes]) -> None:
    ds = data_set(study="1.2", series="1.3", instance="1.4", size=4)
    ds.file_meta.TransferSyntaxUID, ds.NumberOfFrames = syntax, 4
    ds.PixelData = in_fragments(frames, b"", [2, 1, 1, 1])
    await site.keep(ds)
    status, body, _ = await get(site, path_of(ds) + "/frames/1", STORED)
    assert (status, body) == (404, b"the frames of this object cannot be told apart\n")


async def test_fragments_are_looked_at_up_to_a_limit(site: WebSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.services.retrieve.pixels.frame_finder.MOST_LOOKED_AT", 7)
    datasets = [data_set(study="1.2", series="1.3", instance=f"1.4.{n}", size=4) for n in range(2)]
    for ds, per_frame in zip(datasets, ([1, 3, 2, 1], [1, 3, 3, 1]), strict=True):
        ds.file_meta.TransferSyntaxUID, ds.NumberOfFrames = JPEGBaseline8Bit, 4
        ds.PixelData = in_fragments(codestreams(JPEGBaseline8Bit), b"", per_frame)
    await site.keep(*datasets)
    for ds, status in zip(datasets, (200, 404), strict=True):
        assert [(await get(site, path_of(ds) + "/frames/1", STORED))[0] for _ in range(2)] == [status] * 2
