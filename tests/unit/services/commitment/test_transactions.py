"""Transactions folded from events, and offsets that wait for open ones."""

from __future__ import annotations

from libs.common.ports.log import Record
from services.commitment.transactions import REMEMBERED_US, Ledger, Offsets
from tests.support.facts import reported, requested, stored


def test_request_is_owed_a_report_until_it_was_reported() -> None:
    ledger = Ledger()
    assert not ledger.is_known("1.5")
    assert ledger.apply(1, requested("1.5"))
    assert ledger.is_known("1.5")
    assert ledger.apply(1, requested("1.5"))  # the same record again
    assert not ledger.apply(2, reported("1.5"))
    assert not ledger.apply(1, requested("1.5"))
    assert ledger.is_known("1.5")


def test_second_request_with_a_uid_is_owed_nothing() -> None:
    ledger = Ledger()
    assert ledger.apply(1, requested("1.5"))
    assert not ledger.apply(2, requested("1.5"))
    assert ledger.apply(1, requested("1.5"))


def test_request_that_was_noted_before_it_came_back_is_owed_a_report() -> None:
    ledger = Ledger()
    ledger.note("1.5")
    assert ledger.is_known("1.5")
    assert ledger.apply(7, requested("1.5"))
    assert not ledger.apply(8, requested("1.5"))


def test_report_that_comes_before_its_request_counts() -> None:
    ledger = Ledger()
    ledger.apply(2, reported("1.5"))
    assert not ledger.apply(1, requested("1.5"))


def test_other_events_are_no_transactions() -> None:
    assert not Ledger().apply(1, stored(1))


def test_uid_is_forgotten_long_after_its_report() -> None:
    ledger = Ledger()
    ledger.apply(1, requested("1.5"))
    ledger.apply(2, reported("1.5"))
    ledger.apply(3, requested("1.6"))
    ledger.forget_before(REMEMBERED_US)
    assert ledger.is_known("1.5")
    ledger.forget_before(REMEMBERED_US + 10)
    assert not ledger.is_known("1.5")
    assert ledger.is_known("1.6")  # never reported


def record(offset: int, partition: int = 0) -> Record:
    return Record("commitment", partition, offset, "k", b"", 0)


def test_commit_waits_for_the_oldest_open_record() -> None:
    offsets = Offsets()
    records = [record(n) for n in range(1, 6)]
    offsets.seen(records)
    offsets.begin(records[1])
    offsets.begin(records[3])
    assert [r.offset for r in offsets.committable()] == [1]
    offsets.finish(records[3])
    assert [r.offset for r in offsets.committable()] == [1]
    offsets.finish(records[1])
    assert [r.offset for r in offsets.committable()] == [5]


def test_partitions_do_not_wait_for_each_other() -> None:
    offsets = Offsets()
    offsets.seen([record(1), record(9, partition=1)])
    offsets.begin(record(1))
    assert [(r.partition, r.offset) for r in offsets.committable()] == [(1, 9)]
