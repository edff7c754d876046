"""What the change feed said once it says for ever: no field goes, none changes its name, form or meaning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from gantry.common.events import (
    AssociationEnded,
    AssociationRefused,
    AuditRecorded,
    DeadLetter,
    DeadLetterDiscarded,
    DeadLetterReplayed,
    Event,
    InstanceStored,
    MessageAnswered,
    MessageDiscarded,
    MessageQuarantined,
    NotifierBegan,
    PeerRemoved,
    PeerSet,
    ProcessReported,
    RouteDelayed,
    RouteEnded,
    RouteProgressed,
    RouteRequested,
    SessionsEnded,
    ShareCopied,
    ShareCreated,
    ShareOpened,
    ShareRevoked,
    ShareTried,
    StudyDelivered,
    SubscribedStudyNoted,
    SubscriberNotified,
    SubscriptionCreated,
    SubscriptionDeleted,
    SubscriptionEventsCounted,
    SubscriptionStatusChanged,
    encode,
    without_header,
)
from gantry.common.events.changes import CHANGE_TYPES, change_of, schema_of
from tests.compat.changes import CHANGES, TOLD, change, golden
from tests.support.json_schema import require

OF_OPERATORS = {
    DeadLetter,
    DeadLetterReplayed,
    DeadLetterDiscarded,
    AssociationEnded,
    AssociationRefused,
    StudyDelivered,
    ProcessReported,
    RouteRequested,
    RouteProgressed,
    RouteDelayed,
    RouteEnded,
    MessageAnswered,
    MessageQuarantined,
    MessageDiscarded,
    AuditRecorded,
    SessionsEnded,
    PeerSet,
    PeerRemoved,
    ShareCopied,
    NotifierBegan,
    SubscribedStudyNoted,
    SubscriberNotified,
    SubscriptionCreated,
    SubscriptionDeleted,
    SubscriptionEventsCounted,
    SubscriptionStatusChanged,
    ShareCreated,
    ShareTried,
    ShareOpened,
    ShareRevoked,
}
"""Nobody else's business."""
SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
NAMES = sorted(path.stem for path in CHANGES.glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_golden_file_says_is_said_today(name: str) -> None:
    golden_change = json.loads(golden(name).read_text())
    today = change(name)
    assert today is not None
    assert {field: today.get(field) for field in golden_change} == golden_change


@pytest.mark.parametrize("name", NAMES)
def test_a_change_is_of_the_schema_that_the_repository_has(name: str) -> None:
    event = change(name)
    assert event is not None
    for notice in (event, json.loads(golden(name).read_text())):
        require(notice, json.loads((SCHEMAS / f"{notice['type']}.json").read_text()))


def test_every_event_but_those_of_operators_is_told_and_has_a_golden_file() -> None:
    assert {type(TOLD[name]) for name in NAMES} == set(get_args(Event)) - OF_OPERATORS
    assert {json.loads(golden(name).read_text())["type"] for name in NAMES} == set(CHANGE_TYPES)
    assert change("DeadLetter.v1") is None


def test_the_schema_files_are_those_of_the_table() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.json")} == set(CHANGE_TYPES)
    for type_ in CHANGE_TYPES:
        assert json.loads((SCHEMAS / f"{type_}.json").read_text()) == schema_of(type_)


def test_an_event_has_the_same_id_with_its_header_and_without() -> None:
    event = TOLD["InstanceStored.v1"]
    assert isinstance(event, InstanceStored)
    assert event.header
    with_header, bare = encode(event), without_header(encode(event))
    assert with_header != bare
    assert change_of(event, with_header) == change_of(event, bare)


def test_the_header_of_an_object_is_in_no_change() -> None:
    text = json.dumps(change("InstanceStored.v1"))
    assert "header" not in text
    assert "peer" not in text
