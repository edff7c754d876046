"""Segments that were ever sealed are read for ever: a bucket outlives every version of the program.

`python -m tests.compat.test_segments` writes a golden file that is missing; one that is there is never written again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.common.errors import Corrupt
from gantry.common.events import decode, encode, topic_of
from gantry.common.events.segments import SealedRecord, seal, unseal
from tests.compat.events import EVENTS

GOLDEN = Path(__file__).parent / "sealed" / "segment.v1.seg"
RECORDS = [
    SealedRecord(topic_of(event)[0].name, topic_of(event)[1], 1_700_000_000_000_000 + n, encode(event))
    for n, event in enumerate(EVENTS.values())
]
SEALED = (
    "InstanceStored.v1",
    "InstanceStored-claim-check.v1",
    "InstanceConflictFound.v1",
    "CommitmentRequested.v1",
    "CommitmentReported.v1",
    "DeadLetter.v1",
)
"""What there was when the golden segment was sealed."""


def test_the_golden_segment_is_read_as_the_facts_it_was_sealed_from() -> None:
    read = unseal(GOLDEN.read_bytes())
    assert [decode(record.payload) for record in read] == [EVENTS[name] for name in SEALED]
    assert [record.payload for record in read] == [encode(EVENTS[name]) for name in SEALED]
    assert [record.appended_at for record in read] == [1_700_000_000_000_000 + n for n in range(len(SEALED))]


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
