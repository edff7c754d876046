"""An object cut into blocks."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.packing.cutting import BLOCK, Cut, Cutter, Strip
from gantry.common.dicom.standard.transfer_syntaxes import (
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    JPEG_LS_LOSSLESS,
)
from tests.support.image_files import image_file


def cuts_of(content: bytes, sizes: list[int] | None = None) -> list[Cut]:
    cutter, cuts, at = Cutter(), list[Cut](), 0
    for size in sizes or ():
        cuts += cutter.feed(memoryview(content)[at : at + size])
        at += size
    cuts += cutter.feed(content[at:])
    return cuts + list(cutter.finish())


def strips(cuts: list[Cut]) -> list[tuple[int, Strip]]:
    return [(len(cut.data), cut.strip) for cut in cuts if cut.strip is not None]


@given(st.binary(max_size=3000), st.lists(st.integers(1, 500), max_size=10))
def test_whatever_the_bytes_the_blocks_together_are_those_bytes(content: bytes, sizes: list[int]) -> None:
    assert b"".join(cut.data for cut in cuts_of(content, sizes)) == content


@given(st.lists(st.integers(1, 3000), max_size=30), st.sampled_from([EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]))
def test_wherever_the_chunks_are_cut_the_blocks_are_the_same(sizes: list[int], syntax: str) -> None:
    content = image_file(rows=20, columns=30, frames=3, syntax=syntax)
    assert cuts_of(content, sizes) == cuts_of(content)


def test_a_frame_is_a_block_of_its_own() -> None:
    content = image_file(rows=256, columns=256, frames=3)
    assert strips(cuts_of(content)) == [(256 * 256 * 2, Strip(256, 1, 2))] * 3


def test_a_large_frame_is_cut_into_even_strips_of_whole_lines() -> None:
    parts = strips(cuts_of(image_file(rows=1500, columns=1000)))
    assert [length for length, _ in parts] == [1_000_000] * 3
    assert max(length for length, _ in strips(cuts_of(image_file(rows=1501, columns=1000)))) <= BLOCK


def test_small_frames_share_a_block() -> None:
    parts = strips(cuts_of(image_file(rows=64, columns=64, frames=20)))
    assert [length for length, _ in parts] == [8 * 8192, 8 * 8192, 4 * 8192]


def test_colours_by_pixel_and_by_plane_are_lines_of_what_follows_each_other() -> None:
    by_pixel = image_file(rows=300, columns=200, samples_per_pixel=3, allocated=8)
    by_plane = image_file(rows=300, columns=200, samples_per_pixel=3, allocated=8, planar=1)
    assert strips(cuts_of(by_pixel)) == [(300 * 200 * 3, Strip(200, 3, 1))]
    assert strips(cuts_of(by_plane)) == [(300 * 200 * 3, Strip(200, 1, 1))]


@pytest.mark.parametrize(
    "wrong",
    [
        {"allocated": 32},
        {"allocated": 1},
        {"photometric": "YBR_FULL_422", "samples_per_pixel": 3, "allocated": 8},
        {"syntax": EXPLICIT_BIG_ENDIAN},
        {"syntax": DEFLATED_EXPLICIT_LITTLE_ENDIAN},
        {"syntax": JPEG_LS_LOSSLESS},
        {"claimed_frames": 4},
        {"claimed_rows": 0},
        {"claimed_frames": "many"},
    ],
)
def test_what_is_no_raster_of_whole_samples_is_bytes(wrong: dict[str, object]) -> None:
    content = image_file(rows=20, columns=30, frames=3, **wrong)
    cuts = cuts_of(content)
    assert strips(cuts) == []
    assert b"".join(cut.data for cut in cuts) == content


def test_what_stands_behind_the_samples_belongs_to_no_strip() -> None:
    content = image_file(rows=20, columns=31, allocated=8, behind=b"\xfc\xff\xfc\xffOB\x00\x00\x04\x00\x00\x00abcd")
    cuts = cuts_of(content)
    assert strips(cuts) == [(620, Strip(31, 1, 1))]
    assert cuts[-1].data.endswith(b"abcd")


def test_a_file_that_is_cut_off_in_its_samples_loses_nothing() -> None:
    content = image_file(rows=256, columns=256, frames=2)[:-70_001]
    cuts = cuts_of(content, [random.Random(1).randint(1, 5000) for _ in range(20)])
    assert b"".join(cut.data for cut in cuts) == content
