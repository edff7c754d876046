"""Sealed segments: any bit that turns is noticed, and the format is the one of the docstring."""

from __future__ import annotations

import zlib

import msgpack
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.errors import Corrupt
from gantry.common.events.segments import SealedRecord, seal, unseal

RECORDS = st.lists(
    st.builds(
        SealedRecord,
        st.sampled_from(["instances", "commitment"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
        st.integers(0, (1 << 63) - 1),
        st.binary(max_size=40),
    ),
    max_size=5,
)


@given(RECORDS)
def test_a_segment_gives_back_its_records_in_their_order(records: list[SealedRecord]) -> None:
    assert unseal(seal(records)) == records


@given(RECORDS)
def test_a_segment_can_be_read_without_our_code(records: list[SealedRecord]) -> None:
    """Written once and read for ever: magic, digest, zlib, msgpack."""
    segment = seal(records)
    head, digest, body = segment[:11], segment[11:75], segment[75:]
    assert head == b"GANTRYSEG1\n"
    assert digest.decode() == blake3(body).hexdigest()
    assert msgpack.unpackb(zlib.decompress(body)) == [[r.topic, r.key, r.appended_at, r.payload] for r in records]


@given(RECORDS, st.data())
def test_a_bit_that_turns_is_noticed_wherever_it_is(records: list[SealedRecord], data: st.DataObject) -> None:
    segment = bytearray(seal(records))
    place = data.draw(st.integers(0, len(segment) - 1))
    segment[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Corrupt):
        unseal(bytes(segment))


@given(RECORDS, st.data())
def test_a_segment_that_is_cut_or_has_more_at_its_end_is_noticed(
    records: list[SealedRecord], data: st.DataObject
) -> None:
    segment = seal(records)
    for wrong in (segment[: data.draw(st.integers(0, len(segment) - 1))], segment + data.draw(st.binary(min_size=1))):
        with pytest.raises(Corrupt):
            unseal(wrong)
