"""How an encrypted object is laid out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.encryption.form import HEAD, SEGMENT, TAG, EncryptionHead, Segments, read_head
from gantry.common.errors import Corrupt

SIZES = st.one_of(
    st.integers(0, 3),
    st.integers(0, 1 << 40),
    st.integers(1, 9).flatmap(lambda n: st.integers(n * SEGMENT - 2, n * SEGMENT + 2)),
)


@given(SIZES)
def test_the_length_of_an_encrypted_object_says_how_long_it_is(size: int) -> None:
    assert Segments.of_stored(Segments(size).stored).size == size


@given(st.integers(0, HEAD + 3 * (SEGMENT + TAG)))
def test_a_length_is_that_of_one_object_or_of_none(stored: int) -> None:
    try:
        assert Segments.of_stored(stored).stored == stored
    except Corrupt:
        body = (stored - HEAD) % (SEGMENT + TAG)
        assert stored < HEAD + TAG or body <= TAG


@given(SIZES, st.data())
def test_every_byte_lies_in_one_segment_and_segments_lie_one_behind_the_other(size: int, data: st.DataObject) -> None:
    segments = Segments(size)
    begin = data.draw(st.integers(0, size))
    end = data.draw(st.integers(begin, size))
    numbers = segments.covering(begin, end)
    assert 0 <= numbers.start < numbers.stop <= segments.count
    assert numbers.start * SEGMENT <= begin
    assert end <= numbers.stop * SEGMENT
    assert segments.place(numbers.stop) - segments.place(numbers.start) <= len(numbers) * (SEGMENT + TAG)
    last = segments.count - 1
    assert last * SEGMENT + segments.length(last) == size
    for at in {0, 1, numbers.start - 1, numbers.start, numbers.stop, last - 1, last} & set(range(segments.count)):
        assert segments.length(at) == SEGMENT or at == last
        assert segments.place(at + 1) - segments.place(at) == segments.length(at) + TAG
    assert segments.place(0) == HEAD
    assert segments.place(segments.count) == segments.stored
    assert [segments.is_last(number) for number in (segments.count - 1, segments.count)] == [True, False]


@given(st.integers(0, 20 * SEGMENT))
def test_the_segments_together_are_the_object(size: int) -> None:
    segments = Segments(size)
    every = range(segments.count)
    assert sum(map(segments.length, every)) == size
    assert all(segments.place(at + 1) - segments.place(at) == segments.length(at) + TAG for at in every)


def test_a_head_is_read_as_it_was_written() -> None:
    head = EncryptionHead(bytes(range(16)), bytes(range(32)))
    assert len(head.encoded()) == HEAD
    assert read_head(head.encoded() + b"more") == head


@pytest.mark.parametrize(
    "begin",
    [b"", bytes(HEAD), EncryptionHead(bytes(16), bytes(32)).encoded()[:-1], bytes(128) + b"DICM" + bytes(4)],
    ids=["nothing", "zeros", "cut off", "a Part 10 file"],
)
def test_what_lies_as_it_came_has_no_head(begin: bytes) -> None:
    assert read_head(begin) is None


def test_no_part_10_file_is_taken_for_an_encrypted_object_whatever_its_preamble() -> None:
    """PS3.10 7.1: 128 bytes of whatever an application likes, then DICM."""
    preamble = EncryptionHead(bytes(16), bytes(32)).encoded()[:128]
    assert read_head(preamble + b"DICM" + bytes(100)) is None


def test_the_form_of_a_later_release_is_said_to_be_one() -> None:
    later = EncryptionHead(bytes(16), bytes(32)).encoded()[:132] + (2).to_bytes(4, "big")
    with pytest.raises(Corrupt, match="form 2"):
        read_head(later)
