"""Events become what is known of a study, each once, in whatever number they come."""

from __future__ import annotations

from dataclasses import replace

from gantry.common.events import (
    CommitmentFailure,
    CommitmentReference,
    HoldPlaced,
    InstancesCommittedElsewhere,
    InstancesDeleted,
    ReceiptReference,
)
from gantry.common.telemetry.traces import child_of, new_trace
from gantry.services.whereabouts.account import CommitmentElsewhere, Commitments, arrivals_of, happened_of
from tests.support.facts import conflict, reported, requested, stored

TRACE = new_trace()


def test_what_came_over_one_association_is_one_arrival_whatever_was_told_twice() -> None:
    first = [replace(stored(n), trace=child_of(TRACE), calling_ae_title="CT1", peer_address="10.0.0.1") for n in (5, 9)]
    second = replace(stored(20), trace=new_trace(), calling_ae_title="CT1", peer_address="10.0.0.1")
    arrival, other = arrivals_of([second, *first, *first], {TRACE[3:35]: "aborted by peer"})
    assert (arrival.instances, arrival.first_at, arrival.last_at, arrival.outcome) == (2, 5, 9, "aborted by peer")
    assert (arrival.calling_ae_title, arrival.peer_address, arrival.trace) == ("CT1", "10.0.0.1", TRACE[3:35])
    assert (other.instances, other.outcome) == (1, "")


def test_only_transactions_that_name_the_study_count_and_failures_of_it() -> None:
    ours, theirs = CommitmentReference("1.4", "1.5"), CommitmentReference("1.4", "9.9")
    commitments = Commitments({"1.5", "1.6"})
    commitments.take(requested("2.1", (ours, theirs)))
    commitments.take(requested("2.2", (theirs,)))
    commitments.take(reported("2.2"))
    assert [
        (commitment.transaction_uid, commitment.instances, commitment.reported_at)
        for commitment in commitments.found.values()
    ] == [("2.1", 1, 0)]
    failures = (CommitmentFailure("1.4", "1.5", 0x0112), CommitmentFailure("1.4", "9.9", 0x0112))
    commitments.take(replace(reported("2.1", delivered=False), failures=failures))
    (commitment,) = commitments.found.values()
    assert (commitment.reported_at, commitment.delivered, commitment.failed, commitment.calling_ae_title) == (
        2,
        False,
        1,
        "MODALITY",
    )


def test_what_another_archive_reported_of_the_study_is_counted_and_of_others_not() -> None:
    ours, theirs = CommitmentReference("1.4", "1.5"), CommitmentReference("1.4", "9.9")
    failures = (CommitmentFailure("1", "1.6", 1),)
    values = "default", "", "2.7", "1.2", "DEEP", "r", 5, 7
    event = InstancesCommittedElsewhere(*values, (ours, theirs), ("d", "d"), failures)
    commitments = Commitments({"1.5", "1.6"})
    for report in (
        event,
        event,
        replace(event, transaction_uid="2.8", committed=(theirs,), digests=("d",), failures=()),
    ):
        commitments.take(report)
    assert list(commitments.elsewhere.values()) == [CommitmentElsewhere("DEEP", "2.7", 7, 1, 1)]


def test_what_was_decided_is_said_once_in_order_with_who_and_why() -> None:
    receipts = (ReceiptReference("1.3", "1.4", "0" * 32),)
    deleted = InstancesDeleted("default", "", "1.2", "d", receipts, "sent twice", "admin", 30)
    rejected = replace(deleted, kept=True, at=20, reason="quality")
    held = HoldPlaced("default", "", "1.2", "h", "trial", "lawyer", 10)
    happened = happened_of([deleted, stored(1), conflict(40), deleted, rejected, held])
    assert [
        (happening.at, happening.what, happening.objects, happening.by, happening.why) for happening in happened
    ] == [
        (10, "hold placed", 0, "lawyer", "trial"),
        (20, "rejected", 1, "admin", "quality"),
        (30, "deleted", 1, "admin", "sent twice"),
        (40, "sent again with other bytes", 1, "", ""),
    ]
