"""Decisions about receipts and studies, read and written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from gantry.common.adapters.past_receipts import unpack_deletion_state, unpack_entry
from gantry.common.lifecycle import DeletionState
from gantry.common.ports.index import DecidedReceipt, HoldChange, InstanceKey, StandingHolds, StudyAccess


def deletion_states(
    connection: sqlite3.Connection, partition: str, receipts: Sequence[str]
) -> dict[str, DeletionState]:
    """The deletion states of receipts."""
    rows = connection.execute(
        "SELECT f.receipt, f.fate FROM json_each(?2) AS asked CROSS JOIN fate AS f"
        " ON f.partition = ?1 AND f.receipt = asked.value",
        (partition, json.dumps(list(receipts))),
    )
    return {receipt: unpack_deletion_state(packed) for receipt, packed in rows}


def decided_receipts(
    connection: sqlite3.Connection, partition: str, receipts: Sequence[str]
) -> dict[str, DecidedReceipt]:
    """The same with their instances."""
    rows = connection.execute(
        "SELECT f.study, f.series, f.uid, f.receipt, f.fate, f.entry FROM json_each(?2) AS asked CROSS JOIN fate AS f"
        " ON f.partition = ?1 AND f.receipt = asked.value",
        (partition, json.dumps(list(receipts))),
    )
    return {row[3]: _decided_receipt(row) for row in rows}


def page_of_decided(
    connection: sqlite3.Connection,
    partition: str,
    study: str,
    after: tuple[str, str],
    limit: int,
    instances: Sequence[str] = (),
) -> list[DecidedReceipt]:
    """Receipts with decisions, after the study and receipt `after`; of one study if it is named, and within it of some
    SOP Instance UIDs."""
    # Each with the bounds of its index: a study is not searched among all decisions ever made.
    values: tuple[str, ...]
    bounds, values = ("study = ? AND receipt > ?", (study, after[1])) if study else ("(study, receipt) > (?, ?)", after)
    if instances:
        bounds += " AND uid IN (SELECT value FROM json_each(?))"
        values = (*values, json.dumps(instances))
    rows = connection.execute(
        "SELECT study, series, uid, receipt, fate, entry FROM fate INDEXED BY fate_study"  # noqa: S608 - ours
        f" WHERE partition = ? AND {bounds} ORDER BY study, receipt LIMIT ?",
        (partition, *values, limit),
    )
    return [_decided_receipt(row) for row in rows]


def _decided_receipt(row: Sequence[Any]) -> DecidedReceipt:
    *uids, receipt, packed, entry = row
    known = unpack_entry(entry) if entry else None
    where = (known.object_key, known.digest) if known is not None else ("", "")
    return DecidedReceipt(InstanceKey(*uids), receipt, unpack_deletion_state(packed), *where, entry=known)


def hold(connection: sqlite3.Connection, changes: Sequence[HoldChange]) -> None:
    """Write holds, inside the open transaction."""
    connection.executemany(
        "INSERT INTO hold (partition, study, hold, placed, released) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET placed = max(placed, excluded.placed), released = max(released, excluded.released)",
        [(c.partition, c.study_instance_uid, c.hold, c.placed, not c.placed) for c in changes],
    )


def holds(connection: sqlite3.Connection, partition: str, study: str) -> list[str]:
    """The holds in force on a study."""
    rows = connection.execute(
        "SELECT hold FROM hold WHERE partition = ? AND study = ? AND placed AND NOT released ORDER BY hold",
        (partition, study),
    )
    return [name for (name,) in rows]


def held(connection: sqlite3.Connection, partition: str, after: str, limit: int) -> list[StandingHolds]:
    """Studies and patients under holds, after a given one, at most `limit`."""
    rows = connection.execute(
        "SELECT study, json_group_array(hold) FROM (SELECT study, hold FROM hold WHERE partition = ? AND study > ?"
        " AND placed AND NOT released ORDER BY study, hold) GROUP BY study ORDER BY study LIMIT ?",
        (partition, after, limit),
    )
    return [StandingHolds(holder, tuple(sorted(json.loads(holds)))) for holder, holds in rows]


def note_accesses(connection: sqlite3.Connection, accesses: Sequence[StudyAccess]) -> None:
    """Write accesses, inside the open transaction."""
    connection.executemany(
        "INSERT INTO access (partition, study, at) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
        [(access.partition, access.study_instance_uid, access.at) for access in accesses],
    )


def last_access(connection: sqlite3.Connection, partition: str, study: str) -> int:
    """When a study was last accessed, in microseconds; 0: never."""
    row = connection.execute("SELECT at FROM access WHERE partition = ? AND study = ?", (partition, study)).fetchone()
    return 0 if row is None else int(row[0])
