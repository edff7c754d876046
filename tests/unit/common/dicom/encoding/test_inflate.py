"""Deflated data sets (PS3.5 A.5) against zlib."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.encoding.inflate import Inflater, inflate_head
from gantry.common.errors import NotUnderstood
from tests.support.bombs import deflated_zeros
from tests.support.dicom import chunks_of

PIECE = 256 * 1024
BODIES = st.binary(max_size=3000) | st.tuples(st.binary(min_size=1, max_size=4), st.integers(1, 20_000)).map(
    lambda pair: pair[0] * pair[1]
)


def deflated(body: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(body) + deflate.flush()


def inflated(chunks: list[bytes], limit: int) -> bytes:
    inflater = Inflater(limit)
    pieces = [piece for chunk in chunks for piece in inflater.feed(chunk)]
    return b"".join([*pieces, *inflater.finish()])


@given(BODIES, st.data())
def test_what_was_deflated_comes_out_wherever_it_was_cut(body: bytes, data: st.DataObject) -> None:
    assert inflated(data.draw(chunks_of(deflated(body))), len(body)) == body


@given(BODIES, st.binary(max_size=20))
def test_what_follows_the_end_of_the_stream_is_padding(body: bytes, padding: bytes) -> None:
    assert inflated([deflated(body) + padding, padding], len(body)) == body


@given(BODIES.filter(bool))
def test_one_byte_more_than_the_limit_is_refused(body: bytes) -> None:
    with pytest.raises(NotUnderstood, match="too large"):
        inflated([deflated(body)], len(body) - 1)


@given(BODIES, st.data())
def test_a_stream_without_an_end_is_refused(body: bytes, data: st.DataObject) -> None:
    whole = deflated(body)
    with pytest.raises(NotUnderstood):
        inflated([whole[: data.draw(st.integers(0, len(whole) - 1))]], len(body))


@pytest.mark.parametrize("data", [b"\xff" * 20, b"\x07", zlib.compress(b"with a header of zlib")])
def test_bytes_that_are_not_deflated_are_refused(data: bytes) -> None:
    with pytest.raises(NotUnderstood):
        inflated([data], 1000)
    with pytest.raises(NotUnderstood):
        inflate_head(b"\xff" * 20, 10)


def test_a_bomb_comes_in_pieces_and_stops_at_the_limit() -> None:
    bomb = deflated_zeros(48)
    sizes: list[int] = []
    with pytest.raises(NotUnderstood, match="too large"):
        sizes.extend(map(len, Inflater(1_000_000).feed(bomb)))
    assert sum(sizes) <= 1_000_000
    assert max(sizes) <= PIECE


@given(BODIES, st.integers(1, 5000), st.data())
def test_the_head_is_a_beginning_of_what_was_deflated(body: bytes, length: int, data: st.DataObject) -> None:
    whole = deflated(body)
    assert inflate_head(whole, length) == body[:length]
    part = inflate_head(whole[: data.draw(st.integers(0, len(whole)))], length)
    assert body.startswith(part)
    assert len(part) <= length
