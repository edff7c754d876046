"""Entries into the tables: one transaction, idempotent, the same result in any order."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import msgpack

from gantry.common.adapters.election import Candidate, Election, key_of, with_namesake
from gantry.common.adapters.past_receipts import is_coerced, pack_entry, unpack_deletion_state
from gantry.common.adapters.sqlite.index import hidden_entries
from gantry.common.adapters.sqlite.index.aggregates import refresh
from gantry.common.adapters.sqlite.index.hidden_entries import keep_displaced, store_hidden_entries
from gantry.common.adapters.sqlite.index.schema import attributes_of
from gantry.common.dicom.query.attributes import AttributeTable, Level
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.ports.index import Applied, Decision, InstanceEntry, InstanceKey, Loss, Namesake, Outcome

_Key = tuple[str, InstanceKey]
"""Partition and instance."""

_KNOWN = """
    SELECT i.id, study.uid, series.uid, i.uid FROM json_each(?2) AS asked
    CROSS JOIN study ON study.partition = ?1 AND study.uid = json_extract(asked.value, '$[0]')
    CROSS JOIN series ON series.study_id = study.id AND series.uid = json_extract(asked.value, '$[1]')
    CROSS JOIN instance AS i ON i.series_id = series.id AND i.uid = json_extract(asked.value, '$[2]')
"""
_DECIDING = """
    SELECT r.instance_id, r.receipt, r.digest, r.transfer_syntax FROM json_each(?1) AS asked CROSS JOIN receipt AS r
    ON r.instance_id = asked.value AND r.receipt IN (
        (SELECT min(receipt) FROM receipt WHERE instance_id = asked.value),
        (SELECT min(receipt) FROM receipt INDEXED BY receipt_aside WHERE instance_id = asked.value AND aside))
"""
_ASKED = """
    SELECT r.instance_id, r.receipt, r.digest, r.transfer_syntax FROM json_each(?1) AS asked CROSS JOIN receipt AS r
    ON r.instance_id = json_extract(asked.value, '$[0]') AND r.receipt = json_extract(asked.value, '$[1]')
"""
_DELETION_STATES = """
    SELECT f.partition, f.receipt, f.fate FROM json_each(?1) AS asked CROSS JOIN fate AS f
    ON f.partition = json_extract(asked.value, '$[0]') AND f.receipt = json_extract(asked.value, '$[1]')
"""
_EARLIEST = """
    SELECT i.uid, study.uid, series.uid, i.receipt, i.digest FROM json_each(?2) AS asked CROSS JOIN instance AS i
    ON i.id IN (SELECT id FROM instance WHERE partition = ?1 AND uid = asked.value ORDER BY receipt LIMIT 2)
    JOIN study ON study.id = i.study_id JOIN series ON series.id = i.series_id ORDER BY i.receipt, series.uid
"""


def apply(connection: sqlite3.Connection, entries: Sequence[InstanceEntry]) -> list[Applied]:
    """Apply entries, inside the open transaction. Those of hidden receipts are stored for their restoration."""
    hidden = _hidden(connection, entries)
    store_hidden_entries(connection, hidden.values())
    taken = iter(_apply(connection, [e for e in entries if (e.partition, e.receipt) not in hidden]))
    dead = Applied(Outcome.DELETED)
    return [dead if (e.partition, e.receipt) in hidden else next(taken) for e in entries]


def decide(connection: sqlite3.Connection, decisions: Sequence[Decision]) -> None:
    """Join deletion states, inside the open transaction."""
    hidden_entries.decide(connection, decisions, partial(apply, connection), partial(lose, connection))


def _hidden(connection: sqlite3.Connection, entries: Sequence[InstanceEntry]) -> dict[tuple[str, str], InstanceEntry]:
    """The entries whose receipts are hidden."""
    keys = json.dumps(sorted({(entry.partition, entry.receipt) for entry in entries}))
    deletion_states = {
        (partition, receipt): unpack_deletion_state(deletion_state)
        for partition, receipt, deletion_state in connection.execute(_DELETION_STATES, (keys,))
    }
    by_receipt = {(e.partition, e.receipt): e for e in entries if (e.partition, e.receipt) in deletion_states}
    return {key: entry for key, entry in by_receipt.items() if deletion_states[key].hidden}


def _apply(connection: sqlite3.Connection, entries: Sequence[InstanceEntry]) -> list[Applied]:
    ids = _known(connection, {(entry.partition, key_of(entry)) for entry in entries})
    elections = _elections(connection, entries, ids)
    outcomes = [elections[entry.partition, key_of(entry)].take(entry) for entry in entries]
    current = [election.current for election in elections.values() if election.current is not None]
    attributes = attributes_of(connection) if current else None
    for key, election in elections.items():
        if election.overtaken:
            keep_displaced(connection, *key, other_bytes=election.displaced)
    touched = _put(connection, current, attributes, ids) if attributes is not None else set()
    for key, election in elections.items():
        if election.displaced:
            current_side = election.current_side
            connection.execute(
                "UPDATE receipt SET aside = (digest != ? OR transfer_syntax != ?) WHERE instance_id = ?",
                (current_side.digest, current_side.transfer_syntax, ids[key]),
            )
    connection.executemany(
        "INSERT INTO receipt (instance_id, receipt, digest, transfer_syntax, object_key, data_set_offset, sender,"
        " aside, entry) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [row for key, election in elections.items() for row in _receipts(ids[key], election)],
    )
    # If there is more than one receipt, the earliest may be lost while another one is not.
    _locate(connection, [ids[key] for key, election in elections.items() if election.new and len(election.sides) > 1])
    if attributes is not None:
        refresh(connection, touched, attributes)
    return _with_namesakes(connection, entries, outcomes)


def lose(connection: sqlite3.Connection, losses: Sequence[Loss]) -> None:
    """Mark receipts whose objects are lost, inside the open transaction; other receipts of the same bytes are read."""
    ids = _known(connection, {(loss.partition, loss.instance) for loss in losses})
    marked = [
        (ids[loss.partition, loss.instance], loss.receipt) for loss in losses if (loss.partition, loss.instance) in ids
    ]
    connection.executemany("UPDATE receipt SET lost = 1 WHERE instance_id = ? AND receipt = ?", marked)
    _locate(connection, [number for number, _ in marked])
    # A hidden receipt may be restored, and is lost even then.
    lost_receipts = [(loss.partition, loss.receipt) for loss in losses]
    connection.executemany("UPDATE fate SET lost = 1 WHERE partition = ? AND receipt = ?", lost_receipts)


def _locate(connection: sqlite3.Connection, instances: Sequence[int]) -> None:
    """Point instances to the earliest receipt of the current bytes that is not lost."""
    connection.executemany(
        "UPDATE instance SET (object_key, data_set_offset) = ("
        " SELECT r.object_key, r.data_set_offset FROM receipt AS r WHERE r.instance_id = instance.id"
        " AND r.digest = instance.digest AND r.transfer_syntax = instance.transfer_syntax AND r.data_set_offset >= 0"
        " ORDER BY r.lost, r.receipt LIMIT 1) WHERE id = ?",
        [(number,) for number in instances],
    )


def _known(connection: sqlite3.Connection, keys: set[_Key]) -> dict[_Key, int]:
    """The ids of the instances that are known."""
    by_partition: dict[str, list[tuple[str, str, str]]] = {}
    for partition, key in keys:
        by_partition.setdefault(partition, []).append(
            (key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid)
        )
    return {
        (partition, InstanceKey(*uids)): number
        for partition, batch in by_partition.items()
        for number, *uids in connection.execute(_KNOWN, (partition, json.dumps(batch)))
    }


def _elections(
    connection: sqlite3.Connection, entries: Sequence[InstanceEntry], ids: dict[_Key, int]
) -> dict[_Key, Election]:
    """The elections of the instances in a batch, from the tables; not with all receipts, since there may be very
    many."""
    deciding: defaultdict[int, list[Candidate]] = defaultdict(list)
    for number, *side in connection.execute(_DECIDING, (json.dumps(list(ids.values())),)) if ids else ():
        deciding[number].append(Candidate(*side))
    again = [(number, e.receipt) for e in entries if (number := ids.get((e.partition, key_of(e))))]
    sides: defaultdict[int, list[Candidate]] = defaultdict(list)
    for number, *side in connection.execute(_ASKED, (json.dumps(again),)) if again else ():
        sides[number].append(Candidate(*side))
    elections: dict[_Key, Election] = {}
    for entry in entries:
        key = entry.partition, key_of(entry)
        if key not in elections:
            known = ids.get(key)
            elections[key] = Election(()) if known is None else Election(deciding[known], sides[known])
    return elections


def _receipts(instance: int, election: Election) -> Iterator[tuple[str | int | bool | bytes, ...]]:
    current = election.current_side if election.new else None
    for e in election.new:
        aside = current is not None and (e.digest, e.transfer_syntax_uid) != (current.digest, current.transfer_syntax)
        # Receipts of the same bytes may differ in their coercion.
        has_own = aside or (is_coerced(e) and e.receipt != election.current_side.receipt)
        object_at = e.object_key, e.data_set_offset
        yield (
            instance,
            e.receipt,
            e.digest,
            e.transfer_syntax_uid,
            *object_at,
            e.sender,
            aside,
            pack_entry(e) if has_own else b"",
        )


def _with_namesakes(
    connection: sqlite3.Connection, entries: Sequence[InstanceEntry], outcomes: list[Applied]
) -> list[Applied]:
    """The outcomes, with the earliest other instance of the same SOP Instance UID, if there is one."""
    earliest: dict[tuple[str, str], list[Namesake]] = {}
    for partition, uids in _uids(entries).items():
        # Two are enough: at least one of them is not the instance itself.
        for uid, *namesake in connection.execute(_EARLIEST, (partition, json.dumps(sorted(set(uids))))):
            earliest.setdefault((partition, uid), []).append(Namesake(*namesake))
    return [
        with_namesake(entry, outcome, earliest.get((entry.partition, entry.sop_instance_uid), ()))
        for entry, outcome in zip(entries, outcomes, strict=True)
    ]


def _uids(entries: Sequence[InstanceEntry]) -> dict[str, list[str]]:
    uids: dict[str, list[str]] = {}
    for entry in entries:
        uids.setdefault(entry.partition, []).append(entry.sop_instance_uid)
    return uids


_PUT = """
    INSERT INTO instance (partition, uid, study_id, series_id, receipt, sop_class, transfer_syntax, object_key,
        data_set_offset, data_set_length, digest, attributes, above, layout)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (series_id, uid) DO UPDATE SET
        receipt = excluded.receipt, sop_class = excluded.sop_class, transfer_syntax = excluded.transfer_syntax,
        object_key = excluded.object_key, data_set_offset = excluded.data_set_offset,
        data_set_length = excluded.data_set_length, digest = excluded.digest, attributes = excluded.attributes,
        above = excluded.above, layout = excluded.layout
    RETURNING id
"""


def _put(
    connection: sqlite3.Connection, entries: list[InstanceEntry], attributes: AttributeTable, ids: dict[_Key, int]
) -> set[int]:
    """Write the new current objects, and add the ids of their instances to `ids`. Returns the ids of the series that
    changed."""
    above: dict[tuple[str, str, str], tuple[int, int]] = {}
    for entry in entries:
        place = entry.partition, entry.study_instance_uid, entry.series_instance_uid
        if place not in above:
            above[place] = _ids(connection, *place)
        row = entry.partition, entry.sop_instance_uid, *above[place], entry.receipt, *_columns(entry, attributes)
        (ids[entry.partition, key_of(entry)],) = connection.execute(_PUT, row).fetchone()
    return {series for _, series in above.values()}


def _ids(connection: sqlite3.Connection, partition: str, study_uid: str, series_uid: str) -> tuple[int, int]:
    """The ids of a study and of a series in it, both created if missing."""
    study = _id(connection, "study", "partition", partition, study_uid)
    return study, _id(connection, "series", "study_id", study, series_uid)


def _id(connection: sqlite3.Connection, table: str, above: str, value: str | int, uid: str) -> int:
    row = connection.execute(f"SELECT id FROM {table} WHERE {above} = ? AND uid = ?", (value, uid)).fetchone()  # noqa: S608
    if row is None:
        made = connection.execute(f"INSERT INTO {table} ({above}, uid) VALUES (?, ?) RETURNING id", (value, uid))  # noqa: S608
        row = made.fetchone()
    number: int = row[0]
    return number


def _columns(entry: InstanceEntry, attributes: AttributeTable) -> tuple[Any, ...]:
    values, of_image = entry.attributes, attributes.stored_of[Level.IMAGE]
    image = {tag: value for tag, value in values.items() if tag in of_image}
    image[SOP_CLASS_UID] = [entry.sop_class_uid]
    image[SOP_INSTANCE_UID] = [entry.sop_instance_uid]
    above = {tag: value for tag, value in values.items() if tag in attributes.stored and tag not in of_image}
    above[STUDY_INSTANCE_UID] = [entry.study_instance_uid]
    above[SERIES_INSTANCE_UID] = [entry.series_instance_uid]
    return (
        entry.sop_class_uid,
        entry.transfer_syntax_uid,
        entry.object_key,
        entry.data_set_offset,
        entry.data_set_length,
        entry.digest,
        msgpack.packb(image),
        msgpack.packb(above),
        entry.layout,
    )
