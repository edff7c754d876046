"""Content codings (RFC 9110 8.4.1, 12.5.3), read again by zlib and brotli."""

from __future__ import annotations

import gzip

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.web.codings import CODINGS, coding_of, compressed, compressor

DECODERS = {"br": brotli.decompress, "gzip": gzip.decompress}


@pytest.mark.parametrize("coding", CODINGS)
@given(body=st.binary(max_size=3000))
def test_a_client_reads_the_body_that_was_sent(coding: str, body: bytes) -> None:
    assert DECODERS[coding](compressed(coding, body)) == body


@pytest.mark.parametrize("coding", CODINGS)
@given(pieces=st.lists(st.binary(max_size=500)))
def test_a_body_can_come_in_pieces(coding: str, pieces: list[bytes]) -> None:
    encoder = compressor(coding)
    sent = b"".join([*map(encoder.compress, pieces), encoder.flush()])
    assert DECODERS[coding](sent) == b"".join(pieces)


@pytest.mark.parametrize("coding", CODINGS)
def test_text_becomes_smaller(coding: str) -> None:
    body = b'{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Doe^Jane"}]}}' * 200
    assert len(compressed(coding, body)) < len(body) // 10


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, deflate, br", "br"),
        ("br;q=0.5, gzip", "gzip"),
        ("BR ; Q=1", "br"),
        ("gzip", "gzip"),
        ("*", "br"),
        ("*;q=0.1, br;q=0", "gzip"),
        ("br;q=0, gzip;q=0", ""),
        ("identity", ""),
        ("deflate", ""),
        ("*;q=0", ""),
        ("", ""),
        ("br;q=junk, gzip;q=0.1", "gzip"),
    ],
)
def test_the_coding_is_the_one_that_the_client_wants_most(accept: str, coding: str) -> None:
    assert coding_of({"Accept-Encoding": accept}) == coding


def test_a_client_that_says_nothing_gets_the_body_as_it_is() -> None:
    """RFC 9110 12.5.3 allows any coding then; none is understood by everybody."""
    assert coding_of({}) == ""


@given(st.text(max_size=50))
def test_no_header_raises(accept: str) -> None:
    assert coding_of({"Accept-Encoding": accept}) in ("", *CODINGS)
