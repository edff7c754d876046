"""Transactions in which we ask a peer for storage commitment: their names, their bytes in the object store, and what
follows from a report (pure)."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgpack
from blake3 import blake3

from gantry.common.commitment.wire import EventInformation
from gantry.common.errors import Corrupt
from gantry.common.events import CommitmentFailure, CommitmentReference
from gantry.common.statuses import PROCESSING_FAILURE, status_words

_MAGIC = b"GANTRYASK1\n"
_HEAD = len(_MAGIC) + 64


@dataclass(frozen=True, slots=True)
class RequestedTransaction:
    """A transaction. `number` is how often its route had been tried before; `failures_before` how many reports on the
    route had named failures. `asks_all`: nothing of the route is left beside it; `is_last`: after failures in this one
    it is not tried again, otherwise `again` later. `digests` are of the objects that were
    sent, one for each of the `references`, as they are stored here. Where objects were sent de-identified, `sent_as`
    are the SOP Instance UIDs under which the destination has them. Times in microseconds."""

    transaction_uid: str
    partition: str
    trace: str
    study_instance_uid: str
    route: str
    destination: str
    number: int
    failures_before: int
    at: int
    again: int
    asks_all: bool
    is_last: bool
    references: tuple[CommitmentReference, ...]
    digests: tuple[str, ...]
    sent_as: tuple[str, ...] = ()

    @property
    def as_sent(self) -> tuple[CommitmentReference, ...]:
        """The references as the destination knows them."""
        if not self.sent_as:
            return self.references
        named = zip(self.references, self.sent_as, strict=True)
        return tuple(CommitmentReference(reference.sop_class_uid, uid) for reference, uid in named)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a report says of the instances that we asked for: each is in one of the two. `digests` are those of what is
    committed."""

    committed: tuple[CommitmentReference, ...]
    digests: tuple[str, ...]
    failures: tuple[CommitmentFailure, ...]

    def why(self, destination: str) -> str:
        """What is wrong, in words; "" if nothing is."""
        if not self.failures:
            return ""
        total = len(self.failures) + len(self.committed)
        reasons = Counter(failure.reason for failure in self.failures)
        words = ", ".join(status_words(reason) for reason, _ in reasons.most_common(2))
        return f"{destination} did not commit {len(self.failures)} of {total} instances: {words}"


_PLAIN = RequestedTransaction.__slots__.index("references")
"""Fields in front of the lists."""


def transaction_of(route: str, number: int) -> str:
    """The Transaction UID with which a route asks at its try `number`. A try that was cut off asks with the same one
    again (PS3.5 B.2)."""
    return f"2.25.{int.from_bytes(blake3(f'{route} {number}'.encode()).digest(16))}"


def answer_of(request: RequestedTransaction, report: EventInformation) -> Answered:
    """What a report says of what was asked, under our UIDs. An instance that it does not name, or names as failed as
    well, is not committed; what we did not ask for is passed over."""
    failed = {failure.sop_instance_uid: failure for failure in report.failed}
    committed: list[CommitmentReference] = []
    digests: list[str] = []
    failures: list[CommitmentFailure] = []
    for reference, sent, digest in zip(request.references, request.as_sent, request.digests, strict=True):
        failure = failed.get(sent.sop_instance_uid)
        if failure is None and sent in report.committed:
            committed.append(reference)
            digests.append(digest)
        else:
            reason = PROCESSING_FAILURE if failure is None else failure.reason
            failures.append(CommitmentFailure(reference.sop_class_uid, reference.sop_instance_uid, reason))
    return Answered(tuple(committed), tuple(digests), tuple(failures))


def pack_requested(request: RequestedTransaction) -> bytes:
    """The bytes of a transaction."""
    instances = [(reference.sop_class_uid, reference.sop_instance_uid) for reference in request.references]
    bare = replace(request, references=(), digests=(), sent_as=())
    parts = [
        *(getattr(bare, name) for name in RequestedTransaction.__slots__[:_PLAIN]),
        instances,
        list(request.digests),
    ]
    return _packed([*parts, list(request.sent_as)] if request.sent_as else parts)


def unpack_requested(content: bytes) -> RequestedTransaction:
    """The transaction in the bytes. Raises `Corrupt` if they are not those that `pack_requested` made."""
    values = _unpacked(content)
    parts, instances, digests = values[:_PLAIN], values[_PLAIN], values[_PLAIN + 1]
    references = tuple(CommitmentReference(*reference) for reference in instances)
    sent_as = tuple(values[_PLAIN + 2]) if len(values) > _PLAIN + 2 else ()
    return RequestedTransaction(*[*parts, references, tuple(digests), sent_as])


def pack_answered(answered: Answered) -> bytes:
    """The bytes of what a report said."""
    committed = [(reference.sop_class_uid, reference.sop_instance_uid) for reference in answered.committed]
    failures = [(failure.sop_class_uid, failure.sop_instance_uid, failure.reason) for failure in answered.failures]
    return _packed([committed, list(answered.digests), failures])


def unpack_answered(content: bytes) -> Answered:
    """What a report said. Raises `Corrupt` if the bytes are not those that `pack_answered` made."""
    committed, digests, failures = _unpacked(content)
    return Answered(
        tuple(CommitmentReference(*reference) for reference in committed),
        tuple(digests),
        tuple(CommitmentFailure(*failure) for failure in failures),
    )


def _packed(values: Sequence[object]) -> bytes:
    body = zlib.compress(msgpack.packb(values), 1)
    return _MAGIC + blake3(body).hexdigest().encode("ascii") + body


def _unpacked(content: bytes) -> list[Any]:
    body = content[_HEAD:]
    if not content.startswith(_MAGIC) or blake3(body).hexdigest().encode("ascii") != content[len(_MAGIC) : _HEAD]:
        raise Corrupt("a transaction of storage commitment is not what was written")
    values: list[Any] = msgpack.unpackb(zlib.decompress(body))
    return values
