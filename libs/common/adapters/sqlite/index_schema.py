"""The tables of the search index.

Attributes are msgpack maps of tag to "Value" (DICOM JSON). The columns `pid`, `name`, `accession`, `date`,
`description` and `sounds` (of the words of the name, blanks around each) only narrow a search: they hold a value's
beginning where there is exactly one, and `SEVERAL` where it takes a look at the attributes to tell. `first` is the
receipt of the earliest current instance, whose attributes stand for the whole.
"""

from __future__ import annotations

import sqlite3
from functools import lru_cache

from libs.common.dicom.attributes import Attribute, AttributeTable, Level

VERSION = 3
SEVERAL = "\x01"
"""Marks a row that is looked at whatever is looked for."""
NARROW = 128
"""Characters of a value that a narrowing column holds."""

_SCHEMA = """
CREATE TABLE patient (
    id INTEGER PRIMARY KEY AUTOINCREMENT, partition TEXT NOT NULL, key TEXT NOT NULL, first TEXT NOT NULL DEFAULT '',
    attributes BLOB NOT NULL DEFAULT X'80', studies INTEGER NOT NULL DEFAULT 0, series INTEGER NOT NULL DEFAULT 0,
    instances INTEGER NOT NULL DEFAULT 0, pid TEXT NOT NULL DEFAULT '', name TEXT NOT NULL DEFAULT '',
    sounds TEXT NOT NULL DEFAULT '', UNIQUE (partition, key));
CREATE INDEX patient_pid ON patient (partition, pid);
CREATE INDEX patient_name ON patient (partition, name);

CREATE TABLE study (
    id INTEGER PRIMARY KEY AUTOINCREMENT, partition TEXT NOT NULL, uid TEXT NOT NULL, patient_id INTEGER NOT NULL
    DEFAULT 0, first TEXT NOT NULL DEFAULT '', attributes BLOB NOT NULL DEFAULT X'80',
    series INTEGER NOT NULL DEFAULT 0, instances INTEGER NOT NULL DEFAULT 0, modalities TEXT NOT NULL DEFAULT '[]',
    sop_classes TEXT NOT NULL DEFAULT '[]', pid TEXT NOT NULL DEFAULT '', name TEXT NOT NULL DEFAULT '',
    accession TEXT NOT NULL DEFAULT '', date TEXT NOT NULL DEFAULT '', sounds TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '', UNIQUE (partition, uid));
CREATE INDEX study_patient ON study (patient_id);
CREATE INDEX study_pid ON study (partition, pid);
CREATE INDEX study_name ON study (partition, name);
CREATE INDEX study_accession ON study (partition, accession);
CREATE INDEX study_date ON study (partition, date);

CREATE TABLE series (
    id INTEGER PRIMARY KEY AUTOINCREMENT, study_id INTEGER NOT NULL, uid TEXT NOT NULL, first TEXT NOT NULL DEFAULT '',
    attributes BLOB NOT NULL DEFAULT X'80', instances INTEGER NOT NULL DEFAULT 0,
    modalities TEXT NOT NULL DEFAULT '[]', sop_classes TEXT NOT NULL DEFAULT '[]', UNIQUE (study_id, uid));
CREATE INDEX series_study ON series (study_id);
CREATE INDEX series_uid ON series (uid);

CREATE TABLE instance (
    id INTEGER PRIMARY KEY AUTOINCREMENT, partition TEXT NOT NULL, uid TEXT NOT NULL, study_id INTEGER NOT NULL,
    series_id INTEGER NOT NULL, receipt TEXT NOT NULL, sop_class TEXT NOT NULL, transfer_syntax TEXT NOT NULL,
    object_key TEXT NOT NULL, data_set_offset INTEGER NOT NULL, data_set_length INTEGER NOT NULL,
    digest TEXT NOT NULL, attributes BLOB NOT NULL, above BLOB NOT NULL,
    layout BLOB NOT NULL DEFAULT X'', UNIQUE (partition, uid));
CREATE INDEX instance_series ON instance (series_id);
CREATE INDEX instance_class ON instance (series_id, sop_class, receipt);

CREATE TABLE receipt (
    partition TEXT NOT NULL, uid TEXT NOT NULL, receipt TEXT NOT NULL, digest TEXT NOT NULL,
    transfer_syntax TEXT NOT NULL, object_key TEXT NOT NULL, aside INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (partition, uid, receipt)) WITHOUT ROWID;
CREATE INDEX receipt_aside ON receipt (partition) WHERE aside;
"""
_ATTRIBUTE = """CREATE TABLE attribute (
    tag INTEGER PRIMARY KEY, keyword TEXT NOT NULL, vr TEXT NOT NULL, level TEXT NOT NULL, creator TEXT NOT NULL)"""


def create(connection: sqlite3.Connection, attributes: AttributeTable) -> None:
    """Make the tables for `attributes`, inside the transaction that is open, where they are not there yet."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version == 1:
        # What was applied before has no layout: it is read from the objects then, until `gantry reindex`.
        connection.execute("ALTER TABLE instance ADD COLUMN layout BLOB NOT NULL DEFAULT X''")
    if version in (1, 2):
        # What is there already is looked at whatever is looked for, until it changes or `gantry reindex`.
        for table, column in (("patient", "sounds"), ("study", "sounds"), ("study", "description")):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} TEXT NOT NULL DEFAULT '{SEVERAL}'")
        connection.execute(_ATTRIBUTE)
        connection.execute(f"PRAGMA user_version={VERSION}")
        return
    if version != 0:
        raise sqlite3.DatabaseError(f"search index has version {version}, not {VERSION}: remove it to have it rebuilt")
    for statement in [*_SCHEMA.split(";\n"), _ATTRIBUTE]:
        if statement.strip():
            connection.execute(statement)
    rows = [(a.tag, a.keyword, a.vr, a.level.value, a.creator) for a in attributes.added]
    connection.executemany("INSERT INTO attribute VALUES (?, ?, ?, ?, ?)", rows)
    connection.execute(f"PRAGMA user_version={VERSION}")


def attributes_of(connection: sqlite3.Connection) -> AttributeTable:
    """What the tables were made for."""
    return _table(tuple(connection.execute("SELECT tag, keyword, vr, level, creator FROM attribute ORDER BY tag")))


@lru_cache(maxsize=4)
def _table(rows: tuple[tuple[int, str, str, str, str], ...]) -> AttributeTable:
    return AttributeTable(
        Attribute(tag, keyword, vr, Level(level), creator=creator) for tag, keyword, vr, level, creator in rows
    )
