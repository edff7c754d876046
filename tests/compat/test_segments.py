"""Segments that were ever sealed are read for ever: a bucket outlives every version of the program.

`python -m tests.compat.test_segments` writes a golden file that is missing; one that is there is never written again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.common.errors import Corrupt
from libs.common.events import decode, encode, topic_of
from libs.common.events.segments import SealedRecord, seal, unseal
from tests.compat.events import EVENTS

GOLDEN = Path(__file__).parent / "sealed" / "segment.v1.seg"
RECORDS = [
    SealedRecord(topic_of(event)[0].name, topic_of(event)[1], 1_700_000_000_000_000 + n, encode(event))
    for n, event in enumerate(EVENTS.values())
]


def test_the_golden_segment_is_read_as_the_facts_it_was_sealed_from() -> None:
    read = unseal(GOLDEN.read_bytes())
    assert read == RECORDS
    assert [decode(record.payload) for record in read] == list(EVENTS.values())


def test_what_is_sealed_today_is_read_back() -> None:
    assert unseal(seal(RECORDS)) == RECORDS
    assert unseal(seal([])) == []


def test_every_damaged_byte_is_noticed() -> None:
    whole = GOLDEN.read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        with pytest.raises(Corrupt):
            unseal(bytes(damaged))
    for length in (0, 5, 74, 75, len(whole) - 1):
        with pytest.raises(Corrupt):
            unseal(whole[:length])


if __name__ == "__main__" and not GOLDEN.exists():
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_bytes(seal(RECORDS))
