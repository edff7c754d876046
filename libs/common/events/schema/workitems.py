"""Workitems (Unified Procedure Steps), and who watches them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkitemCreated:
    """A Unified Procedure Step (a workitem of PS3.18) was to be created: N-CREATE (PS3.4 CC.2.5), or POST. The fields
    are as in `OrderPlaced`; whether it was accepted is decided by the fold (`gantry.common.workitems`)."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    values_key: str = ""
    values_size: int = 0
    values_digest: str = ""


@dataclass(frozen=True, slots=True)
class WorkitemSet:
    """Attributes of a workitem were to be set (N-SET, PS3.4 CC.2.6), by who holds the lock `lock`: a digest of its
    Transaction UID, "" where none was given. The Transaction UID itself is on no log."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    lock: str
    values_key: str = ""
    values_size: int = 0
    values_digest: str = ""


@dataclass(frozen=True, slots=True)
class WorkitemStateRequested:
    """A workitem was to get this Procedure Step State (N-ACTION, PS3.4 CC.2.1); `lock` as in `WorkitemSet`."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    state: str
    lock: str


@dataclass(frozen=True, slots=True)
class WorkitemCancelRequested:
    """Somebody who does not perform a workitem asked that it be cancelled (N-ACTION, PS3.4 CC.2.2); `attributes` are
    his reason and how he can be reached, as in `WorkitemCreated`."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    values_key: str = ""
    values_size: int = 0
    values_digest: str = ""


@dataclass(frozen=True, slots=True)
class WorkitemErased:
    """All that was said of a workitem is erased, for `reason`: its UID is never used again."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    reason: str


@dataclass(frozen=True, slots=True)
class WorkitemSubscribed:
    """The AE title `subscriber` is to be told what happens to workitems (PS3.4 CC.2.3): to that of this SOP Instance
    UID; to all, where that is the well-known one of the global subscription; or, with the well-known one of the
    filtered global subscription, to those that match `attributes` (by tag the values of the keys, as text), which are
    kept as those of `WorkitemCreated` are. With `deletion_lock` they are not erased by age."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    subscriber: str
    deletion_lock: bool
    values_key: str = ""
    values_size: int = 0
    values_digest: str = ""


@dataclass(frozen=True, slots=True)
class WorkitemUnsubscribed:
    """It is not, any more; with a well-known UID, of no workitem."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    subscriber: str


@dataclass(frozen=True, slots=True)
class WorkitemSubscriptionSuspended:
    """A global subscription, by its well-known UID, is for no workitem that is created from now on."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    subscriber: str
