"""What it costs to decide about receipts does not grow with how many were decided about before."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from gantry.common.adapters.sqlite.index.aggregates import fill_orders
from gantry.common.adapters.sqlite.index.apply import apply, decide
from gantry.common.adapters.sqlite.index.decided import page_of_decided
from gantry.common.adapters.sqlite.index.schema import create
from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.lifecycle import Deletion, DeletionState
from gantry.common.ports.index import Decision, InstanceEntry, InstanceKey
from tests.support.entries import entry


def study_of(number: int, count: int) -> list[InstanceEntry]:
    uid = f"1.{number}"
    return [entry(number * 10_000 + n, f"{uid}.1.{n}", uid, f"{uid}.1", PatientID="P1") for n in range(count)]


def decisions(entries: list[InstanceEntry], deletion_state: DeletionState) -> list[Decision]:
    return [
        Decision(
            "default",
            InstanceKey(e.study_instance_uid, e.series_instance_uid, e.sop_instance_uid),
            e.receipt,
            deletion_state,
        )
        for e in entries
    ]


def steps(connection: sqlite3.Connection, work: Callable[[], object]) -> int:
    """How many hundred steps SQLite takes for it."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(tick, 100)
    work()
    connection.set_progress_handler(None, 0)
    return count


def test_deleting_restoring_and_listing_a_study_costs_the_same_after_a_thousand_deletions() -> None:
    connection = sqlite3.connect(":memory:")
    create(connection, STANDARD, fill_orders)
    deleted, withdrawn = DeletionState(frozenset([Deletion("d", 1)])), DeletionState(withdrawn=frozenset(["d"]))
    costs = []
    for number in (1, 2):
        entries = study_of(number, 50)
        apply(connection, entries)
        costs.append(
            [
                steps(connection, lambda e=entries: decide(connection, decisions(e, deleted))),  # type: ignore[misc]
                steps(
                    connection,
                    lambda n=number: page_of_decided(connection, "default", f"1.{n}", (f"1.{n}", ""), 500),  # type: ignore[misc]
                ),
                steps(connection, lambda e=entries: decide(connection, decisions(e, withdrawn))),  # type: ignore[misc]
            ]
        )
        if number == 1:
            others = study_of(3, 1000)
            apply(connection, others)
            decide(connection, decisions(others, deleted))
    assert len(page_of_decided(connection, "default", "1.3", ("1.3", ""), 5000)) == 1000
    assert all(later < 2 * before + 20 for before, later in zip(*costs, strict=True)), costs
