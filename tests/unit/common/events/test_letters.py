"""The name of a dead letter is the same wherever it is read, and of no other letter."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gantry.common.events import DeadLetter, decode, encode, letter_id, without_header
from tests.support.facts import stored

LETTER = DeadLetter("default", "t", "indexer", "instances", 7, "why", 9, without_header(encode(stored(1))))


def test_a_letter_that_is_appended_twice_or_sealed_has_one_name() -> None:
    again = replace(LETTER, failed_at=10, reason="another", trace="")
    assert letter_id(again) == letter_id(LETTER)
    of_an_older_release = replace(LETTER, payload=encode(stored(1)))
    sealed = decode(without_header(encode(of_an_older_release)))
    assert isinstance(sealed, DeadLetter)
    assert letter_id(of_an_older_release) == letter_id(sealed) == letter_id(LETTER)


def test_what_is_no_event_has_the_name_that_it_has_in_a_segment() -> None:
    junk = replace(LETTER, payload=b"\xc1junk")
    assert letter_id(junk) == letter_id(replace(junk, payload=b""))


@pytest.mark.parametrize(
    "other",
    [
        replace(LETTER, group="archiver"),
        replace(LETTER, topic="conflicts"),
        replace(LETTER, offset=8),
        replace(LETTER, payload=without_header(encode(stored(2)))),
    ],
)
def test_another_letter_has_another_name(other: DeadLetter) -> None:
    assert letter_id(other) != letter_id(LETTER)
    assert len(letter_id(LETTER)) == 12
