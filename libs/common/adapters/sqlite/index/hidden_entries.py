"""Decisions about receipts: hidden ones leave the tables, with everything needed to restore them.

An instance with a receipt that is hidden or restored is removed completely, and its remaining receipts are applied
again: so the result is the same as if the deletion had come first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from gantry.common.adapters.past_receipts import (
    PastReceipt,
    pack_deletion_state,
    pack_entry,
    unpack_deletion_state,
    unpack_entry,
    with_entries,
)
from gantry.common.adapters.sqlite.index.aggregates import refresh, unpack
from gantry.common.adapters.sqlite.index.places import hide
from gantry.common.adapters.sqlite.index.schema import attributes_of
from gantry.common.dicom.scan.layout import coercion_in
from gantry.common.lifecycle import ALIVE, DeletionState
from gantry.common.ports.index import Decision, InstanceEntry, InstanceKey, KnownReceipt, Loss

Apply = Callable[[Sequence[InstanceEntry]], object]


def read_deletion_state(connection: sqlite3.Connection, partition: str, receipt: str) -> DeletionState:
    """The decisions about a receipt."""
    row = connection.execute(
        "SELECT fate FROM fate WHERE partition = ? AND receipt = ?", (partition, receipt)
    ).fetchone()
    return ALIVE if row is None else unpack_deletion_state(row[0])


def store_hidden_entries(connection: sqlite3.Connection, entries: Iterable[InstanceEntry], lost: bool = False) -> None:
    """Store the entries of hidden receipts for their restoration; nothing is stored of collected ones."""
    for entry in entries:
        collected = read_deletion_state(connection, entry.partition, entry.receipt).collected
        connection.execute(
            "UPDATE fate SET entry = ?, lost = max(lost, ?) WHERE partition = ? AND receipt = ?",
            (b"" if collected else pack_entry(entry), lost, entry.partition, entry.receipt),
        )


def decide(
    connection: sqlite3.Connection,
    decisions: Sequence[Decision],
    apply: Apply,
    lose: Callable[[Sequence[Loss]], None],
) -> None:
    """Join deletion states, inside the open transaction; `apply` and `lose` are those of this connection."""
    hidden: dict[tuple[str, InstanceKey], set[str]] = {}
    back: list[PastReceipt] = []
    # All of them first: of a deletion and its restoration in one call, the result counts.
    deletion_states = {(decision.partition, decision.receipt): _join(connection, decision) for decision in decisions}
    hide(connection, {receipt: deletion_state.hidden for receipt, deletion_state in deletion_states.items()})
    for decision in {(decision.partition, decision.receipt): decision for decision in decisions}.values():
        deletion_state = deletion_states[decision.partition, decision.receipt]
        if deletion_state.hidden:
            hidden.setdefault((decision.partition, decision.instance), set()).add(decision.receipt)
            if deletion_state.collected:
                _forget(connection, decision)
        else:
            back += _take_hidden_entry(connection, decision)
    touched: set[int] = set()
    for (partition, instance), receipts in hidden.items():
        back += _take_out(connection, partition, instance, receipts, touched)
    if touched:
        refresh(connection, touched, attributes_of(connection))
    apply([known.entry for known in back])
    lose([_loss(known.entry) for known in back if known.lost])


def _join(connection: sqlite3.Connection, decision: Decision) -> DeletionState:
    deletion_state = read_deletion_state(connection, decision.partition, decision.receipt) | decision.deletion_state
    key = decision.instance
    connection.execute(
        "INSERT INTO fate (partition, study, receipt, series, uid, fate) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET fate = excluded.fate",
        (
            decision.partition,
            key.study_instance_uid,
            decision.receipt,
            key.series_instance_uid,
            key.sop_instance_uid,
            pack_deletion_state(deletion_state),
        ),
    )
    return deletion_state


def _forget(connection: sqlite3.Connection, decision: Decision) -> None:
    connection.execute(
        "UPDATE fate SET entry = X'' WHERE partition = ? AND receipt = ?", (decision.partition, decision.receipt)
    )


def _take_hidden_entry(connection: sqlite3.Connection, decision: Decision) -> list[PastReceipt]:
    """The receipt that is no longer hidden, if it was."""
    at = decision.partition, decision.receipt
    entry, lost = connection.execute("SELECT entry, lost FROM fate WHERE partition = ? AND receipt = ?", at).fetchone()
    connection.execute("UPDATE fate SET entry = X'', lost = 0 WHERE partition = ? AND receipt = ?", at)
    return [PastReceipt(unpack_entry(entry), bool(lost))] if entry else []


def _take_out(
    connection: sqlite3.Connection, partition: str, instance: InstanceKey, hidden: set[str], touched: set[int]
) -> list[PastReceipt]:
    """Remove an instance from the tables if one of the `hidden` receipts is in them: these are stored for their
    restoration, the others remain. `touched` are the series that have changed."""
    row = connection.execute(_INSTANCE, (partition, *_uids(instance))).fetchone()
    if row is None:
        return []
    number, series = row[:2]
    receipts = connection.execute(_RECEIPTS, (number,)).fetchall()
    if not hidden & {receipt for receipt, *_ in receipts}:
        return []
    known = _known(partition, instance, row[2:], receipts)
    connection.execute("DELETE FROM receipt WHERE instance_id = ?", (number,))
    connection.execute("DELETE FROM instance WHERE id = ?", (number,))
    touched.add(series)
    left = []
    for known_receipt in known:
        if known_receipt.entry.receipt in hidden:
            store_hidden_entries(connection, [known_receipt.entry], known_receipt.lost)
        else:
            left.append(known_receipt)
    return left


_INSTANCE = """
    SELECT i.id, i.series_id, i.sop_class, i.transfer_syntax, i.digest, i.data_set_length, i.attributes, i.above,
        i.layout
    FROM study JOIN series ON series.study_id = study.id JOIN instance AS i ON i.series_id = series.id
    WHERE study.partition = ? AND study.uid = ? AND series.uid = ? AND i.uid = ?
"""
_RECEIPTS = """
    SELECT receipt, digest, transfer_syntax, object_key, data_set_offset, sender, lost, entry FROM receipt
    WHERE instance_id = ? ORDER BY receipt
"""


def _known(
    partition: str, instance: InstanceKey, current: Sequence[Any], receipts: Sequence[Sequence[Any]]
) -> list[PastReceipt]:
    """All receipts of an instance with their entries; `current` are the columns of its current object, which is that
    of the earliest."""
    sop_class, syntax, digest, length, attributes, above, layout = current
    elected = InstanceEntry(
        partition, receipts[0][0] if receipts else "", *_uids(instance), sop_class, syntax, "", 0, length, digest,
        unpack(attributes) | unpack(above), layout,
    )  # fmt: skip
    entries = [unpack_entry(row[7]) for row in receipts if row[7]]
    rows = [KnownReceipt(*row[:7]) for row in receipts]
    return with_entries([replace(row, lost=bool(row.lost)) for row in rows], [*entries, elected])


def keep_displaced(connection: sqlite3.Connection, partition: str, instance: InstanceKey, *, other_bytes: bool) -> None:
    """Before another receipt becomes current: the current entry is stored with its receipt, unless it follows from the
    new one (it does not if the new one has `other_bytes`, or this one was coerced)."""
    row = connection.execute(_INSTANCE, (partition, *_uids(instance))).fetchone()
    if row is None:
        return
    if not (other_bytes or coercion_in(row[8])):
        return
    receipts = connection.execute(_RECEIPTS, (row[0],)).fetchall()
    for known in _known(partition, instance, row[2:], receipts):
        if (known.entry.digest, known.entry.transfer_syntax_uid) == (row[4], row[3]):
            connection.execute(
                "UPDATE receipt SET entry = ? WHERE instance_id = ? AND receipt = ?",
                (pack_entry(known.entry), row[0], known.entry.receipt),
            )
            return  # one is enough: others of the same bytes differ only in their place


def _uids(instance: InstanceKey) -> tuple[str, str, str]:
    return instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid


def _loss(entry: InstanceEntry) -> Loss:
    instance = InstanceKey(entry.study_instance_uid, entry.series_instance_uid, entry.sop_instance_uid)
    return Loss(entry.partition, instance, entry.receipt)
