"""Subscriptions over FHIR: who wants to be told, of what, and what was told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SubscriptionCreated:
    """Somebody (`by`; `owner` is a digest of who that is) wants to be told of studies at an address on `host`. What he
    wants, and what is known of him, is `sealed` (`subscriptions.key_file`): patients, secrets and addresses are in
    it. It ends at `ends_at`."""

    partition: str
    trace: str
    subscription: str
    sealed: str
    host: str
    owner: str
    by: str
    ends_at: int
    at: int


@dataclass(frozen=True, slots=True)
class SubscriptionStatusChanged:
    """A subscription got a status of FHIR R4 (requested, active, error, off), for a `reason` that is words of ours;
    `by` is "" where the archive did it."""

    partition: str
    trace: str
    subscription: str
    status: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class SubscriptionDeleted:
    """A subscription is no longer there."""

    partition: str
    trace: str
    subscription: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class SubscribedStudyNoted:
    """Something that a subscription is to be told: a study is there (`kind` created), is another one (updated), or is
    not there any more (deleted). `event` names what happened, as the change feed does; its number in the subscription
    follows from the order of the log."""

    partition: str
    trace: str
    subscription: str
    event: str
    study_instance_uid: str
    kind: str
    at: int


@dataclass(frozen=True, slots=True)
class SubscriberNotified:
    """The subscriber accepted all notifications up to the one of `event`."""

    partition: str
    trace: str
    subscription: str
    event: str
    at: int


@dataclass(frozen=True, slots=True)
class SubscriptionEventsCounted:
    """`event` is number `number` of a subscription. Told now and then, so that numbers go on when the log has forgotten
    what was counted."""

    partition: str
    trace: str
    subscription: str
    event: str
    number: int
    at: int


@dataclass(frozen=True, slots=True)
class NotifierBegan:
    """The process `notifier` tells subscribers from now on, and no other does; `subscription` is "*"."""

    partition: str
    trace: str
    subscription: str
    notifier: str
    at: int
