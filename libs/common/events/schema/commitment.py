"""Storage commitment: asked of us, and by us of others."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CommitmentReference:
    """One Referenced SOP Sequence item of a storage commitment request (PS3.4 J.3.2)."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class CommitmentFailure:
    """One Failed SOP Sequence item; `reason` is a Failure Reason of PS3.3 C.14.1.1."""

    sop_class_uid: str
    sop_instance_uid: str
    reason: int


@dataclass(frozen=True, slots=True)
class CommitmentRequested:
    """A peer asked us to take responsibility for instances; it is owed a report."""

    partition: str
    trace: str
    transaction_uid: str
    requested_at: int
    calling_ae_title: str
    called_ae_title: str
    peer_address: str
    references: tuple[CommitmentReference, ...] = field(default=())

    @property
    def over_http(self) -> bool:
        """Whether it came over HTTP, from a caller that asks for the result itself (PS3.18 13.5)."""
        return not self.called_ae_title


@dataclass(frozen=True, slots=True)
class CommitmentReported:
    """The report of a transaction was accepted by its requester, or given up on after the last retry."""

    partition: str
    trace: str
    transaction_uid: str
    calling_ae_title: str
    reported_at: int
    delivered: bool
    failures: tuple[CommitmentFailure, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class InstancesCommittedElsewhere:
    """A peer reported on a transaction in which we asked it for storage commitment (PS3.4 J.3.3), because of a `route`:
    it takes responsibility for the instances `committed` of a study, and not for those in `failures`. `digests` has for
    each instance that is committed that of the object which was sent, as it is stored here."""

    partition: str
    trace: str
    transaction_uid: str
    study_instance_uid: str
    ae_title: str
    route: str
    requested_at: int
    reported_at: int
    committed: tuple[CommitmentReference, ...]
    digests: tuple[str, ...]
    failures: tuple[CommitmentFailure, ...] = field(default=())
