"""Which fragments make which frame (PS3.5 A.4), against pydicom's own tables."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, generate_frames, parse_basic_offsets

from gantry.services.retrieve.pixels.frames import (
    HEAD,
    Frames,
    begins,
    by_beginnings,
    by_count,
    by_length,
    by_table,
    can_begin,
)
from tests.unit.services.ingest.stow.test_codestreams import GREY, saved
from tests.unit.services.retrieve.images import image

RAW, RLE, JPEG, J2K = "1.2.840.10008.1.2.1.98", *(f"1.2.840.10008.1.2.{n}" for n in ("5", "4.50", "4.90"))


def fragments_of(encapsulated: bytes) -> tuple[bytes, list[bytes]]:
    """The offset table, and what follows it."""
    items, at = [], 0
    while at < len(encapsulated):
        length = int.from_bytes(encapsulated[at + 4 : at + 8], "little")
        items.append(encapsulated[at + 8 : at + 8 + length])
        at += 8 + length
    return items[0], items[1:]


@given(st.lists(st.binary(min_size=4, max_size=30), min_size=1, max_size=6), st.integers(1, 2))
def test_the_table_that_pydicom_writes_is_read(frames: list[bytes], pieces: int) -> None:
    made = encapsulate(frames, fragments_per_frame=pieces, has_bot=True)
    table, fragments = fragments_of(made)
    firsts = by_table(table, "<I", [len(f) for f in fragments])
    assert firsts is not None
    assert len(firsts) == len(parse_basic_offsets(made)) == len(frames)
    ends = [*firsts[1:], len(fragments)]
    frames_read = [b"".join(fragments[a:b]) for a, b in zip(firsts, ends, strict=True)]
    assert frames_read == list(generate_frames(made, number_of_frames=len(frames)))


@pytest.mark.parametrize(
    "offsets",
    [[8, 20], [20, 38], [0, 5], [0, 0], [20, 0], [0, 999], [0, 38], []],
    ids=lambda o: "-".join(map(str, o)) or "none",
)
def test_a_table_that_names_no_beginnings_of_fragments_is_of_no_use(offsets: list[int]) -> None:
    """Of three fragments of 12, 10 and 8 bytes with heads of 8; 38 is where the third begins."""
    table = b"".join(offset.to_bytes(4, "little") for offset in offsets)
    expected = [0, 2] if offsets == [0, 38] else None
    assert by_table(table, "<I", [12, 10, 8]) == expected


def test_a_frame_of_nothing_but_empty_fragments_is_none() -> None:
    table = b"".join(offset.to_bytes(8, "little") for offset in (0, 18))
    assert by_table(table, "<Q", [10, 0]) is None
    assert by_table(table, "<Q", [10, 6]) == [0, 1]


@pytest.mark.parametrize(
    ("lengths", "frames", "expected"),
    [([4, 4, 4], 3, [0, 1, 2]), ([4, 0, 4], 2, [0, 2]), ([0, 4, 4], 2, [0, 2]), ([4, 4], 3, None), ([], 0, None)],
)
def test_as_many_fragments_as_frames_are_a_fragment_each(
    lengths: list[int], frames: int, expected: list[int] | None
) -> None:
    if not lengths:
        assert by_count(lengths, 1) is None
    else:
        assert by_count(lengths, frames) == expected


@pytest.mark.parametrize(
    ("is_first", "lengths", "frames", "expected"),
    [
        ([True, False, True], [4, 4, 4], 2, [0, 2]),
        ([False, True, False], [0, 4, 4], 1, [0]),
        ([False, True], [4, 4], 1, None),  # something lies before the first codestream
        ([True, True], [4, 4], 1, None),
        ([False], [4], 1, None),
    ],
)
def test_codestreams_tell_where_frames_begin(
    is_first: list[bool], lengths: list[int], frames: int, expected: list[int] | None
) -> None:
    assert by_beginnings(is_first, lengths, frames) == expected


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([8, 8], [0, 1]),
        ([4, 4, 8], [0, 2]),
        ([4, 4, 6, 2], [0, 2]),
        ([16], None),
        ([8, 4], None),
        ([6, 6, 4], None),
    ],
)
def test_uncompressed_frames_are_told_by_their_length(lengths: list[int], expected: list[int] | None) -> None:
    """PS3.5 A.4.11; frames of 2 x 2 x 16 bits."""
    assert by_length(image(RAW, frames=2, length=None), lengths) == expected
    assert by_length(image(JPEG, frames=2, length=None), lengths) is None


@pytest.mark.parametrize(
    ("syntax", "data"),
    [
        (JPEG, saved(GREY, "JPEG")),
        (J2K, saved(GREY, "JPEG2000", no_jp2=True)),
        (J2K, saved(GREY, "JPEG2000")),  # a whole file, which some senders put there
        (RLE, (2).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56)),
    ],
)
def test_the_beginning_of_a_codestream_is_known(syntax: str, data: bytes) -> None:
    assert can_begin(syntax)
    made = image(syntax, length=None)
    assert begins(made, data[:HEAD])
    assert not begins(made, data[HEAD : 2 * HEAD])
    assert not begins(made, b"")


def test_rle_of_another_number_of_segments_does_not_begin() -> None:
    """PS3.5 G.5: a segment for each byte of a pixel."""
    head = (2).to_bytes(4, "little") + (64).to_bytes(4, "little")
    assert not begins(image(RLE, samples=3, allocated=8, length=None), head)


def test_what_is_not_compressed_cannot_be_told_by_its_beginning() -> None:
    assert not can_begin(RAW)
    assert not can_begin("1.2.840.10008.1.2.4.102")


def test_empty_fragments_are_left_out_of_a_frame() -> None:
    frames = Frames(array("Q", [10, 30, 38, 50]), array("Q", [12, 0, 4, 6]), array("Q", [0, 3, 4]))
    assert frames.of(1) == [(10, 12), (38, 4)]
    assert frames.of(2) == [(50, 6)]
