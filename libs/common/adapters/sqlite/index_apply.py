"""Entries into the tables: one transaction, idempotent, the same end in any order."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgpack

from libs.common.adapters.election import Election, Side
from libs.common.adapters.sqlite.index_refresh import refresh
from libs.common.adapters.sqlite.index_schema import attributes_of
from libs.common.dicom.attributes import (
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    AttributeTable,
    Level,
)
from libs.common.ports.index import Applied, InstanceEntry

_Key = tuple[str, str]
"""Partition and SOP Instance UID."""


def _elections(connection: sqlite3.Connection, entries: Sequence[InstanceEntry]) -> defaultdict[_Key, Election]:
    """What the tables say of the instances in a batch."""
    elections: defaultdict[_Key, Election] = defaultdict(lambda: Election([]))
    for partition, uids in _uids(entries).items():
        rows = connection.execute(
            "SELECT uid, receipt, digest, transfer_syntax FROM receipt WHERE partition = ?"
            " AND uid IN (SELECT value FROM json_each(?))",
            (partition, json.dumps(uids)),
        )
        for uid, *side in rows:
            elections[partition, uid].sides.append(Side(*side))
    return elections


def apply(connection: sqlite3.Connection, entries: Sequence[InstanceEntry]) -> list[Applied]:
    """Take entries in, inside the transaction that is open."""
    elections = _elections(connection, entries)
    outcomes = [elections[entry.partition, entry.sop_instance_uid].take(entry) for entry in entries]
    connection.executemany(
        "INSERT INTO receipt (partition, uid, receipt, digest, transfer_syntax, object_key) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (e.partition, e.sop_instance_uid, e.receipt, e.digest, e.transfer_syntax_uid, e.object_key)
            for election in elections.values()
            for e in election.new
        ],
    )
    for (partition, uid), election in elections.items():
        if election.new and len(election.sides) > 1:
            kept = election.kept
            connection.execute(
                "UPDATE receipt SET aside = (digest != ? OR transfer_syntax != ?) WHERE partition = ? AND uid = ?",
                (kept.digest, kept.transfer_syntax, partition, uid),
            )
    current = [election.current for election in elections.values() if election.current is not None]
    if current:
        attributes = attributes_of(connection)
        refresh(connection, _put(connection, current, attributes), attributes)
    return outcomes


def _uids(entries: Sequence[InstanceEntry]) -> dict[str, list[str]]:
    uids: dict[str, list[str]] = {}
    for entry in entries:
        uids.setdefault(entry.partition, []).append(entry.sop_instance_uid)
    return uids


_PUT = """
    INSERT INTO instance (partition, uid, study_id, series_id, receipt, sop_class, transfer_syntax, object_key,
        data_set_offset, data_set_length, digest, attributes, above, layout)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (partition, uid) DO UPDATE SET study_id = excluded.study_id, series_id = excluded.series_id,
        receipt = excluded.receipt, sop_class = excluded.sop_class, transfer_syntax = excluded.transfer_syntax,
        object_key = excluded.object_key, data_set_offset = excluded.data_set_offset,
        data_set_length = excluded.data_set_length, digest = excluded.digest, attributes = excluded.attributes,
        above = excluded.above, layout = excluded.layout
"""


def _put(connection: sqlite3.Connection, entries: list[InstanceEntry], attributes: AttributeTable) -> set[int]:
    """Write the new current objects; the ids of the series that are no longer what they were."""
    touched = set(_series_of(connection, entries))
    ids: dict[tuple[str, str, str], tuple[int, int]] = {}
    rows = []
    for entry in entries:
        place = entry.partition, entry.study_instance_uid, entry.series_instance_uid
        if place not in ids:
            ids[place] = _ids(connection, *place)
        rows.append((entry.partition, entry.sop_instance_uid, *ids[place], entry.receipt, *_columns(entry, attributes)))
    connection.executemany(_PUT, rows)
    return touched | {series for _, series in ids.values()}


def _series_of(connection: sqlite3.Connection, entries: list[InstanceEntry]) -> Iterator[int]:
    """The series that the instances are in so far: a conflict may take one out of it."""
    for partition, uids in _uids(entries).items():
        rows = connection.execute(
            "SELECT DISTINCT series_id FROM instance WHERE partition = ? AND uid IN (SELECT value FROM json_each(?))",
            (partition, json.dumps(uids)),
        )
        yield from (series for (series,) in rows)


def _ids(connection: sqlite3.Connection, partition: str, study_uid: str, series_uid: str) -> tuple[int, int]:
    """The ids of a study and of a series in it, both made where they are not there."""
    study = _id(connection, "study", "partition", partition, study_uid)
    return study, _id(connection, "series", "study_id", study, series_uid)


def _id(connection: sqlite3.Connection, table: str, above: str, value: str | int, uid: str) -> int:
    found = connection.execute(f"SELECT id FROM {table} WHERE {above} = ? AND uid = ?", (value, uid)).fetchone()  # noqa: S608
    if found is None:
        made = connection.execute(f"INSERT INTO {table} ({above}, uid) VALUES (?, ?) RETURNING id", (value, uid))  # noqa: S608
        found = made.fetchone()
    number: int = found[0]
    return number


def _columns(entry: InstanceEntry, attributes: AttributeTable) -> tuple[Any, ...]:
    given, of_image = entry.attributes, attributes.stored_of[Level.IMAGE]
    image = {tag: value for tag, value in given.items() if tag in of_image}
    image[SOP_CLASS_UID] = [entry.sop_class_uid]
    image[SOP_INSTANCE_UID] = [entry.sop_instance_uid]
    above = {tag: value for tag, value in given.items() if tag in attributes.stored and tag not in of_image}
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
