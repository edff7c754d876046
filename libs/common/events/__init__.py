"""Event schemas, their codec and the table of topics.

What belongs here: facts that happened (frozen dataclasses, past tense), how they become bytes (msgpack; every version
that was ever written stays readable, see tests/compat), and which topic, key and retention each has. What does not:
Kafka, SQLite, or anything that moves an event.
"""

from libs.common.events.codec import SCHEMA_VERSION, decode, encode
from libs.common.events.schema import (
    BulkElement,
    CommitmentFailure,
    CommitmentReference,
    CommitmentReported,
    CommitmentRequested,
    DeadLetter,
    Event,
    InstanceConflictFound,
    InstanceStored,
    NamesakeFound,
    ObjectLost,
    PixelData,
)
from libs.common.events.topics import INDEXERS, TOPICS, Topic, topic_of

__all__ = [
    "INDEXERS",
    "SCHEMA_VERSION",
    "TOPICS",
    "BulkElement",
    "CommitmentFailure",
    "CommitmentReference",
    "CommitmentReported",
    "CommitmentRequested",
    "DeadLetter",
    "Event",
    "InstanceConflictFound",
    "InstanceStored",
    "NamesakeFound",
    "ObjectLost",
    "PixelData",
    "Topic",
    "decode",
    "encode",
    "topic_of",
]
