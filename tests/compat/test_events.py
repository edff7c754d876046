"""What was ever written to a log is read for ever, and what we write today is what we say we write."""

from __future__ import annotations

import msgpack
import pytest

from gantry.common.errors import UndecodableEvent
from gantry.common.events import TOPICS, decode, encode
from tests.compat.events import EVENTS, GOLDEN, golden


@pytest.mark.parametrize("name", EVENTS)
def test_every_golden_file_is_read_as_the_event_it_was(name: str) -> None:
    assert decode(golden(name).read_bytes()) == EVENTS[name]


@pytest.mark.parametrize("name", EVENTS)
def test_the_encoder_writes_what_the_golden_file_holds(name: str) -> None:
    assert encode(EVENTS[name]) == golden(name).read_bytes()


def test_every_event_class_and_every_file_has_its_other() -> None:
    assert {type(event) for event in EVENTS.values()} == set(TOPICS)
    assert {path.name for path in GOLDEN.iterdir()} == {golden(name).name for name in EVENTS}


@pytest.mark.parametrize("name", EVENTS)
def test_an_older_reader_survives_a_field_that_it_does_not_know(name: str) -> None:
    kind, version, body = msgpack.unpackb(golden(name).read_bytes())
    later = msgpack.packb([kind, version, {**body, "a_field_of_tomorrow": ["x", 1]}])
    assert decode(later) == EVENTS[name]


def test_a_version_of_tomorrow_is_told_apart_from_junk() -> None:
    kind, version, body = msgpack.unpackb(golden("InstanceStored.v1").read_bytes())
    with pytest.raises(UndecodableEvent, match=f"unknown version {version + 1}"):
        decode(msgpack.packb([kind, version + 1, body]))
    with pytest.raises(UndecodableEvent, match="not an event"):
        decode(msgpack.packb(["InstanceForgotten", version, body]))
