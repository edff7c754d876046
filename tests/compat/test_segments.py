"""Segments that were ever sealed are read for ever: a bucket outlives every version of the program.

`python -m tests.compat.test_segments` writes a golden file that is missing; one that is there is never written again.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gantry.common.errors import Corrupt
from gantry.common.events import DeadLetter, InstanceStored, decode, encode, topic_of
from gantry.common.events.segments import SealedRecord, seal, unseal
from gantry.services.maintenance.sealing import bare_segment
from tests.compat.events import EVENTS

SEALED_IN = Path(__file__).parent / "sealed"
GOLDEN = SEALED_IN / "segment.v1.seg"
BARE = SEALED_IN / "segment.bare.v1.seg"
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


def test_a_segment_sealed_without_headers_is_read_as_the_same_facts() -> None:
    stored, dead = EVENTS["InstanceStored.v1"], EVENTS["DeadLetter.v1"]
    assert isinstance(stored, InstanceStored)
    assert isinstance(dead, DeadLetter)
    # A dead letter that is no event holds nobody knows what.
    bare = [replace(stored, header=None), *[EVENTS[name] for name in SEALED[1:-1]], replace(dead, payload=b"")]
    assert [decode(record.payload) for record in unseal(BARE.read_bytes())] == bare


def test_an_old_segment_sealed_anew_holds_what_the_archiver_seals_today() -> None:
    assert unseal(bare_segment(unseal(GOLDEN.read_bytes()))) == unseal(BARE.read_bytes())
    assert unseal(bare_segment(unseal(BARE.read_bytes()))) == unseal(BARE.read_bytes())


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


if __name__ == "__main__":
    SEALED_IN.mkdir(exist_ok=True)
    if not GOLDEN.exists():
        GOLDEN.write_bytes(seal(RECORDS))
    if not BARE.exists():
        BARE.write_bytes(bare_segment(unseal(GOLDEN.read_bytes())))
