"""Special states of studies: holds, receipts aside, rejections."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from gantry.common.adapters.past_receipts import unpack_deletion_state
from gantry.common.ports.index import Marks

# Few receipts are aside: if there are none, no study is examined.
_CONFLICTING = """SELECT s.uid FROM json_each(?2) AS asked CROSS JOIN study AS s
    ON s.partition = ?1 AND s.uid = asked.value
    WHERE EXISTS (SELECT 1 FROM receipt INDEXED BY receipt_aside WHERE aside) AND EXISTS (
    SELECT 1 FROM series AS e CROSS JOIN instance AS i ON i.series_id = e.id
    CROSS JOIN receipt AS r INDEXED BY receipt_aside ON r.instance_id = i.id AND r.aside WHERE e.study_id = s.id)"""
_HELD = """SELECT DISTINCT h.study FROM json_each(?2) AS asked CROSS JOIN hold AS h
    ON h.partition = ?1 AND h.study = asked.value WHERE h.placed AND NOT h.released"""
_DELETION_STATES = "SELECT fate FROM fate INDEXED BY fate_study WHERE partition = ? AND study = ?"


def marks_of(
    connection: sqlite3.Connection, partition: str, studies: Collection[str], holders: Collection[str]
) -> Marks:
    """See `SearchIndex`."""
    held = connection.execute(_HELD, (partition, json.dumps(sorted(holders))))
    conflicting = connection.execute(_CONFLICTING, (partition, json.dumps(sorted(studies))))
    return Marks(
        frozenset(holder for (holder,) in held),
        frozenset(uid for (uid,) in conflicting),
        frozenset(uid for uid in studies if _is_rejected(connection, partition, uid)),
    )


def _is_rejected(connection: sqlite3.Connection, partition: str, study: str) -> bool:
    deletion_states = connection.execute(_DELETION_STATES, (partition, study))
    return any(decision.rejects for (packed,) in deletion_states for decision in unpack_deletion_state(packed).standing)
