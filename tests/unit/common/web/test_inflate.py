"""gzip bodies: any cut, several members, and bombs."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.web.errors import HttpProblem
from gantry.common.web.inflate import Gunzip
from tests.support.bombs import gzipped_zeros
from tests.support.dicom import chunks_of


@given(st.data(), st.lists(st.binary(max_size=300).map(lambda b: b * 9), min_size=1, max_size=3))
def test_it_inflates_what_was_deflated_however_it_is_cut(data: st.DataObject, members: list[bytes]) -> None:
    body = b"".join(gzip.compress(member) for member in members)
    gunzip = Gunzip()
    got = b"".join(piece for chunk in data.draw(chunks_of(body)) for piece in gunzip.feed(chunk))
    gunzip.finish()
    assert got == b"".join(members)


def test_a_bomb_is_refused_long_before_it_is_inflated() -> None:
    bomb = gzipped_zeros(96)
    made = 0

    def inflate() -> None:
        nonlocal made
        for piece in Gunzip().feed(bomb):
            made += len(piece)
            assert len(piece) <= 256 * 1024

    with pytest.raises(HttpProblem) as refused:
        inflate()
    assert refused.value.status == 413
    assert made < len(bomb) * 100 + (64 << 20) + (1 << 20)


@given(st.binary(min_size=1, max_size=200))
def test_what_is_no_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(HttpProblem) as refused:
        _whole(body)
    assert refused.value.status == 400


def _whole(body: bytes) -> bytes:
    gunzip = Gunzip()
    inflated = b"".join(gunzip.feed(body))
    gunzip.finish()
    return inflated


def test_a_cut_off_body_is_refused_at_its_end() -> None:
    gunzip = Gunzip()
    list(gunzip.feed(gzip.compress(b"a body" * 100)[:-5]))
    with pytest.raises(HttpProblem) as refused:
        gunzip.finish()
    assert refused.value.status == 400
