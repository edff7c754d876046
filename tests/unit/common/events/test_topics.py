"""The table of topics: every event has one, and what belongs together keeps its order."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from gantry.common.events import (
    FACTS,
    INDEXED,
    TOPICS,
    Event,
    HoldPlaced,
    HoldReleased,
    InstanceConflictFound,
    InstancesDeleted,
    InstancesRestored,
    InstanceStored,
    NamesakeFound,
    ObjectLost,
    ObjectsCollected,
    PatientCorrected,
    PatientCorrectionsErased,
    PatientCorrectionWithdrawn,
    PatientMerged,
    ProcessReported,
    RouteDelayed,
    RouteEnded,
    RouteProgressed,
    RouteRequested,
    StudyCorrected,
    StudyCorrectionsErased,
    StudyCorrectionWithdrawn,
    StudyDelivered,
    topic_of,
)
from gantry.common.events.schema import (
    AssociationEnded,
    AssociationRefused,
    AuditRecorded,
    CommitmentReported,
    CommitmentRequested,
    DeadLetter,
    DeadLetterDiscarded,
    DeadLetterReplayed,
    MessageAnswered,
    MessageDiscarded,
    MessageQuarantined,
    NotifierBegan,
    SessionsEnded,
    SubscribedStudyNoted,
    SubscriberNotified,
    SubscriptionEventsCounted,
)

LOST = ObjectLost("default", "t", "1.2", "1.3", "1.4", "0" * 32, "k", "missing", "verify", 1)


def test_every_event_has_a_topic() -> None:
    assert set(TOPICS) == set(get_args(Event))


@pytest.mark.parametrize("cls", get_args(Event), ids=lambda c: c.__name__)
def test_the_key_of_a_topic_is_a_field_of_text_in_each_of_its_events(cls: type[Event]) -> None:
    assert {f.name: f.type for f in fields(cls)}[TOPICS[cls].key] == "str"


def test_a_topic_has_one_name_and_a_name_one_topic() -> None:
    topics = {(topic.name, topic.partitions, topic.retention_ms) for topic in TOPICS.values()}
    assert len({name for name, *_ in topics}) == len(topics)
    assert all(topic.partitions > 0 for topic in TOPICS.values())


def test_the_events_of_a_study_keep_their_order() -> None:
    """One topic, and the Study Instance UID as its key."""
    assert TOPICS[InstanceStored] is TOPICS[ObjectLost]
    assert TOPICS[InstanceStored].key == "study_instance_uid"
    assert topic_of(LOST) == (TOPICS[ObjectLost], "1.2")


def test_the_events_of_a_patient_keep_their_order_and_those_of_a_study_stay_with_it() -> None:
    of_patients = (PatientCorrected, PatientMerged, PatientCorrectionWithdrawn, PatientCorrectionsErased)
    assert {TOPICS[cls] for cls in of_patients} == {TOPICS[PatientMerged]}
    assert TOPICS[PatientMerged].key == "patient"
    of_studies = (StudyCorrected, StudyCorrectionWithdrawn, StudyCorrectionsErased)
    assert {TOPICS[cls] for cls in of_studies} == {TOPICS[InstanceStored]}
    assert {TOPICS[InstanceStored].name, TOPICS[PatientMerged].name} == set(INDEXED)


def test_texts_of_messages_are_gone_with_their_topic() -> None:
    """They name patients: no segment keeps them for ever."""
    topic = TOPICS[MessageQuarantined]
    assert not topic.sealed
    assert topic.retention_ms == 30 * 24 * 3600 * 1000
    assert TOPICS[MessageAnswered] is TOPICS[MessageDiscarded] is topic


def test_audit_records_are_sealed_in_a_place_of_their_own() -> None:
    """They name patients, and nothing is rebuilt from them: the bucket's rules may remove them by themselves."""
    assert TOPICS[AuditRecorded].sealed
    assert {cls for cls, topic in TOPICS.items() if topic.root != FACTS} == {AuditRecorded}


def test_the_report_of_a_transaction_comes_after_its_request() -> None:
    assert TOPICS[CommitmentRequested] is TOPICS[CommitmentReported]
    assert TOPICS[CommitmentRequested].key == "transaction_uid"


def test_what_was_decided_about_a_dead_letter_comes_after_it() -> None:
    assert TOPICS[DeadLetter] is TOPICS[DeadLetterReplayed] is TOPICS[DeadLetterDiscarded]
    assert TOPICS[DeadLetter].key == "group"


def test_what_happened_to_instances_is_forgotten_by_the_log_and_nothing_else() -> None:
    """It is in sealed segments by then; the rest is not, so it is kept (dead letters for a month)."""
    forgotten = {cls for cls, topic in TOPICS.items() if topic.retention_ms is not None}
    of_letters = {DeadLetter, DeadLetterReplayed, DeadLetterDiscarded}
    of_associations = {AssociationEnded, AssociationRefused, StudyDelivered}
    of_instances = {cls for cls in TOPICS if TOPICS[cls].name == TOPICS[InstanceStored].name}
    of_now = {ProcessReported}
    of_routes = {RouteRequested, RouteProgressed, RouteDelayed, RouteEnded}
    of_messages = {MessageAnswered, MessageQuarantined, MessageDiscarded}
    of_audits = {AuditRecorded}
    of_sessions = {SessionsEnded}
    of_notifications = {SubscribedStudyNoted, SubscriberNotified, SubscriptionEventsCounted, NotifierBegan}
    unsealed = of_associations | of_now | of_routes | of_messages | of_sessions | of_notifications
    assert forgotten == of_instances | of_letters | of_audits | unsealed
    assert {cls for cls, topic in TOPICS.items() if not topic.sealed} == unsealed
    for cls in (ObjectLost, InstancesDeleted, InstancesRestored, ObjectsCollected, HoldPlaced, HoldReleased):
        assert TOPICS[cls] is TOPICS[InstanceStored]
    lasting_events = (InstanceConflictFound, NamesakeFound, CommitmentRequested, CommitmentReported)
    assert all(TOPICS[cls].retention_ms is None for cls in lasting_events)


def test_the_documented_topics_are_those_of_the_table() -> None:
    """Name, partitions and events of each topic, as docs/changes.md says them."""
    text = (Path(__file__).parents[4] / "docs" / "changes.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    documented = {
        row[0].strip("`"): (int(row[2]), set(row[4].replace("`", "").split(", "))) for row in rows if len(row) == 5
    }
    expected: dict[str, tuple[int, set[str]]] = {}
    for cls, topic in TOPICS.items():
        expected.setdefault(topic.name, (topic.partitions, set()))[1].add(cls.__name__)
    assert documented == expected
