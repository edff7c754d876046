"""The JSON form of events; what it said in earlier releases is compared in tests/compat/test_changes.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gantry.common.events import HoldPlaced, InstancesDeleted, ReceiptReference, encode
from gantry.common.events.changes import CHANGE_TYPES, change_of, schema_of
from tests.support.facts import stored

HELD = HoldPlaced("default", "t", "1.2", "h", "why", "who", 1_700_000_000_000_007)
DELETED = InstancesDeleted("default", "", "1.2", "d", (ReceiptReference("1.3", "1.4", "r"),), "why", "who", 0)


def test_a_change_says_what_happened_and_when_to_the_microsecond() -> None:
    change = change_of(HELD, encode(HELD))
    assert change is not None
    assert change.pop("id")
    assert change == {
        "type": "held",
        "partition": "default",
        "trace": "t",
        "StudyInstanceUID": "1.2",
        "hold": "h",
        "reason": "why",
        "by": "who",
        "at": "2023-11-14T22:13:20.000007Z",
    }


def test_what_is_published_twice_in_other_words_has_one_id() -> None:
    """As the sweeper does, which knows nothing of the association that an object came over."""
    event = stored(1)
    again = replace(event, trace="t", calling_ae_title="", header=None, stored_at=event.stored_at + 5)
    first, second = change_of(event, encode(event)), change_of(again, encode(again))
    assert first is not None
    assert second is not None
    assert first["id"] == second["id"]


def test_other_events_have_other_ids() -> None:
    other = replace(HELD, hold="another")
    changes = [change_of(HELD, encode(HELD)), change_of(other, encode(other)), change_of(HELD, encode(HELD))]
    ids = [change["id"] for change in changes if change is not None]
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize(("is_kept", "type_"), [(False, "deleted"), (True, "rejected")])
def test_what_only_hides_is_a_rejection(is_kept: bool, type_: str) -> None:
    event = replace(DELETED, kept=is_kept)
    change = change_of(event, encode(event))
    assert change is not None
    assert change["type"] == type_
    assert change["receipts"] == [{"SeriesInstanceUID": "1.3", "SOPInstanceUID": "1.4", "receipt": "r"}]


@pytest.mark.parametrize("type_", CHANGE_TYPES)
def test_a_schema_requires_all_that_a_change_has_and_lets_more_be_added(type_: str) -> None:
    schema = schema_of(type_)
    optional = {"code"} if type_ in ("deleted", "rejected") else set()
    assert set(schema["required"]) == set(schema["properties"]) - optional
    assert {"id", "type", "partition", "at"} <= set(schema["required"])
    assert schema["additionalProperties"] is True
