"""Transactions folded from events, and offsets that wait for open ones."""

from __future__ import annotations

from gantry.common.ports.log import Record
from gantry.services.commitment.transactions import REMEMBERED_US, Offsets, TransactionLedger
from tests.support.facts import reported, requested, stored


def test_request_is_owed_a_report_until_it_was_reported() -> None:
    ledger = TransactionLedger()
    assert not ledger.is_known("1.5")
    assert ledger.apply(requested("1.5"))
    assert ledger.is_known("1.5")
    assert not ledger.is_reported("1.5")
    assert ledger.apply(requested("1.5"))  # the same again
    assert not ledger.apply(reported("1.5"))
    assert ledger.is_reported("1.5")
    assert not ledger.apply(requested("1.5"))
    assert ledger.is_known("1.5")


def test_request_that_was_noted_before_it_came_back_is_owed_a_report() -> None:
    ledger = TransactionLedger()
    ledger.note("1.5")
    assert ledger.is_known("1.5")
    assert ledger.apply(requested("1.5"))


def test_report_that_comes_before_its_request_counts() -> None:
    ledger = TransactionLedger()
    ledger.apply(reported("1.5"))
    assert not ledger.apply(requested("1.5"))
    ledger.note("1.5")
    assert not ledger.apply(requested("1.5"))


def test_other_events_are_no_transactions() -> None:
    assert not TransactionLedger().apply(stored(1))


def test_uid_is_forgotten_long_after_its_report() -> None:
    ledger = TransactionLedger()
    ledger.apply(requested("1.5"))
    ledger.apply(reported("1.5"))
    ledger.apply(requested("1.6"))
    ledger.forget_before(REMEMBERED_US)
    assert ledger.is_known("1.5")
    ledger.forget_before(REMEMBERED_US + 10)
    assert not ledger.is_known("1.5")
    assert ledger.is_known("1.6")  # never reported


def test_snapshot_and_what_came_after_it_are_everything() -> None:
    """Also where what came after it is older: events are heard again, and in any order."""
    events = [requested("1.1"), requested("1.2"), reported("1.1"), requested("1.3"), reported("1.3"), requested("1.1")]
    whole = TransactionLedger()
    for event in events:
        whole.apply(event)
    for cut in range(len(events) + 1):
        first, second = TransactionLedger(), TransactionLedger()
        for event in events[:cut]:
            first.apply(event)
        snapshot = first.snapshot(77)
        assert snapshot.since_us == 77
        for event in events[max(0, cut - 2) :]:
            second.apply(event)
        second.take_up(snapshot)
        assert second.snapshot(0) == whole.snapshot(0)
        for uid in ("1.1", "1.2", "1.3", "1.4"):
            assert (second.is_known(uid), second.is_reported(uid)) == (whole.is_known(uid), whole.is_reported(uid))


def record(offset: int, partition: int = 0) -> Record:
    return Record("commitment", partition, offset, "k", b"", 0)


def test_commit_waits_for_the_oldest_open_record() -> None:
    offsets = Offsets()
    records = [record(n) for n in range(1, 6)]
    offsets.note_read(records)
    offsets.begin(records[1])
    offsets.begin(records[3])
    assert [r.offset for r in offsets.committable()] == [1]
    offsets.finish(records[3])
    assert [r.offset for r in offsets.committable()] == [1]
    offsets.finish(records[1])
    assert [r.offset for r in offsets.committable()] == [5]


def test_partitions_do_not_wait_for_each_other() -> None:
    offsets = Offsets()
    offsets.note_read([record(1), record(9, partition=1)])
    offsets.begin(record(1))
    assert [(r.partition, r.offset) for r in offsets.committable()] == [(1, 9)]
