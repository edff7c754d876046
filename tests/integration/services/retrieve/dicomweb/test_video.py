"""A stored video for a player: `/rendered` of an MP4 file in fragments."""

from __future__ import annotations

import pytest
from pydicom.uid import MPEG2MPML, MPEG4HP41

from gantry.services.retrieve.dicomweb.video import pieces
from tests.integration.services.retrieve.dicomweb.test_objects import get, path_of
from tests.integration.services.retrieve.pixels.test_frame_finder import in_fragments
from tests.support.bulk import mp4
from tests.support.objects import data_set
from tests.support.web import WebSite


async def kept(site: WebSite, syntax: str, content: bytes, fragments: int) -> str:
    ds = data_set(study="1.2", series="1.3", instance="1.4", size=4)
    ds.file_meta.TransferSyntaxUID, ds.NumberOfFrames = syntax, 50
    ds.PixelData = in_fragments([content], b"", [fragments])
    await site.keep(ds)
    return path_of(ds) + "/rendered"


def even(content: bytes) -> bytes:
    return content + b"\0" * (len(content) & 1)


@pytest.mark.parametrize("fragments", [1, 3])
async def test_a_video_is_the_file_that_it_was(site: WebSite, fragments: int) -> None:
    content = even(mp4())
    path = await kept(site, MPEG4HP41, content, fragments)
    for accept in ({}, {"Accept": "video/mp4"}, {"Accept": "*/*"}):
        status, body, headers = await get(site, path, **accept)
        assert (status, headers["Content-Type"], body) == (200, "video/mp4", content)
    status, body, headers = await get(site, path, Range="bytes=100-999")
    assert (status, body) == (206, content[100:1000])
    assert headers["Content-Range"] == f"bytes 100-999/{len(content)}"
    assert (await get(site, path, Range="bytes=-10"))[1] == content[-10:]
    assert (await get(site, path, **{"Range": "bytes=-10", "If-Range": '"another"'}))[:2] == (200, content)
    assert (await get(site, path, Range=f"bytes={len(content)}-"))[0] == 416


async def test_what_no_player_takes_is_said(site: WebSite) -> None:
    path = await kept(site, MPEG4HP41, even(mp4()), 1)
    assert (await get(site, path, Accept="image/jpeg"))[0] == 406
    frame = path.replace("/rendered", "/frames/25/rendered")
    assert (await get(site, frame))[0] in (404, 406)
    # Who lists its frames and takes a video has it.
    status, _, headers = await get(site, frame, "image/jpeg, video/mp4;q=0.1")
    assert (status, headers["Content-Type"]) == (200, "video/mp4")


async def test_a_stream_that_is_no_mp4_file_is_406(site: WebSite) -> None:
    path = await kept(site, MPEG2MPML, b"\x00\x00\x01\xb3" + bytes(60), 1)
    status, body, _ = await get(site, path)
    assert status == 406
    assert b"not an MP4 file" in body


def test_pieces_are_bounded_and_cover_what_is_asked_for() -> None:
    fragments = [(100, 3 << 20), (9 << 20, 10), (20 << 20, 1 << 20)]
    ranges = list(pieces(fragments, 5, (4 << 20) + 3))
    assert all(length <= 1 << 20 for _, length in ranges)
    assert sum(length for _, length in ranges) == (4 << 20) + 3 - 5
    assert ranges[0] == (105, 1 << 20)
    assert ranges[-1][0] + ranges[-1][1] == (20 << 20) + (1 << 20) - 7
