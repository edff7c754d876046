"""Event schemas, their codec and the table of topics.

What belongs here: facts that happened (frozen dataclasses, past tense), how they become bytes (msgpack; every version
that was ever written stays readable, see tests/compat), and which topic, key and retention each has. What does not:
Kafka, SQLite, or anything that moves an event.
"""

from gantry.common.events.codec import SCHEMA_VERSION, decode, encode
from gantry.common.events.headers import has_header, without_header
from gantry.common.events.letters import letter_id
from gantry.common.events.schema import (
    AssociationEnded,
    AssociationRefused,
    CommitmentFailure,
    CommitmentReference,
    CommitmentReported,
    CommitmentRequested,
    DeadLetter,
    DeadLetterDiscarded,
    DeadLetterReplayed,
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
    ReceiptReference,
    RequestAnswers,
)
from gantry.common.events.topics import INDEXERS, TOPICS, Topic, topic_of

__all__ = [
    "INDEXERS",
    "SCHEMA_VERSION",
    "TOPICS",
    "AssociationEnded",
    "AssociationRefused",
    "CommitmentFailure",
    "CommitmentReference",
    "CommitmentReported",
    "CommitmentRequested",
    "DeadLetter",
    "DeadLetterDiscarded",
    "DeadLetterReplayed",
    "Event",
    "HoldPlaced",
    "HoldReleased",
    "InstanceConflictFound",
    "InstanceStored",
    "InstancesDeleted",
    "InstancesRestored",
    "NamesakeFound",
    "ObjectLost",
    "ObjectsCollected",
    "ReceiptReference",
    "RequestAnswers",
    "Topic",
    "decode",
    "encode",
    "has_header",
    "letter_id",
    "topic_of",
    "without_header",
]
