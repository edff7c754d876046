"""Permanently stored segments hold no headers."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.events import DeadLetter, decode, encode, has_header, without_header
from tests.support.facts import conflict, reported, stored

NAME = b"Doe^Jane"
EVENT = replace(stored(1), header=b"\x10\x00\x10\x00PN\x08\x00" + NAME)


def letter(payload: bytes) -> DeadLetter:
    return DeadLetter("default", "", "indexer", "instances", 1, "why", 2, payload)


def test_a_stored_instance_loses_its_header_and_nothing_else() -> None:
    assert NAME in encode(EVENT)
    bare = without_header(encode(EVENT))
    assert NAME not in bare
    assert decode(bare) == replace(EVENT, header=None)


def test_a_dead_letter_loses_the_header_in_it_however_deep_it_lies() -> None:
    deep = encode(letter(encode(letter(encode(EVENT)))))
    assert has_header(deep)
    assert NAME not in without_header(deep)
    assert without_header(deep) == encode(letter(encode(letter(encode(replace(EVENT, header=None))))))


def test_a_dead_letter_of_no_event_loses_what_is_in_it() -> None:
    assert without_header(encode(letter(b"\xc1" + NAME))) == encode(letter(b""))


@pytest.mark.parametrize("event", [replace(EVENT, header=None), conflict(1), reported("1.2"), letter(b"")])
def test_what_has_no_header_stays_as_it_is_to_the_byte(event: object) -> None:
    payload = encode(event)  # type: ignore[arg-type]
    assert without_header(payload) == payload
    assert not has_header(payload)


def test_fields_of_a_later_release_stay() -> None:
    name, version, body = msgpack.unpackb(encode(EVENT))
    later = msgpack.packb([name, version, {**body, "of_tomorrow": [1]}])
    assert msgpack.unpackb(without_header(later))[2]["of_tomorrow"] == [1]


@given(st.binary(max_size=100))
def test_junk_comes_back_empty_or_as_it_is(junk: bytes) -> None:
    assert without_header(junk) in (b"", junk)
