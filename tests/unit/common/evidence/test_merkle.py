"""The tree of digests."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.evidence import root_of

# The inputs and roots that implementations of Certificate Transparency test themselves with (RFC 9162 2.1.5's tree).
LEAVES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "60" * 16)]


def split(leaves: list[bytes]) -> bytes:
    """The tree as RFC 9162 2.1.1 writes it: split at the largest power of two below the number of leaves."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + split(leaves[:k]) + split(leaves[k:])).digest()


def test_roots_are_those_that_others_publish() -> None:
    assert root_of([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root_of(LEAVES[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert root_of(LEAVES[:2]).hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_tree_is_that_of_the_standard(leaves: list[bytes]) -> None:
    assert root_of(leaves) == split(leaves)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=12, unique=True), st.data())
def test_root_changes_with_any_entry_its_place_and_their_number(leaves: list[bytes], data: st.DataObject) -> None:
    n = data.draw(st.integers(0, len(leaves) - 1))
    root = root_of(leaves)
    assert root_of([*leaves[:n], leaves[n] + b"x", *leaves[n + 1 :]]) != root
    assert root_of([*leaves[:n], *leaves[n + 1 :]]) != root
    assert root_of([*leaves, b"x" * 9]) != root
    if len(leaves) > 1:
        assert root_of(leaves[::-1]) != root
