"""The tables of the projection."""

from __future__ import annotations

import sqlite3

_TABLES = """
CREATE TABLE orders(
    partition TEXT, key TEXT, attributes BLOB NOT NULL, cancelled INTEGER NOT NULL, reason TEXT NOT NULL,
    report BLOB, PRIMARY KEY(partition, key));
CREATE TABLE steps(
    partition TEXT, start TEXT, key TEXT, step TEXT, number INTEGER NOT NULL, attributes BLOB NOT NULL,
    cancelled INTEGER NOT NULL, state TEXT NOT NULL, modality TEXT, patient TEXT, name TEXT, accession TEXT,
    procedure TEXT, study TEXT);
CREATE UNIQUE INDEX steps_order ON steps(partition, key, step);
CREATE INDEX steps_start ON steps(partition, start, key, step);
CREATE INDEX steps_patient ON steps(partition, patient);
CREATE INDEX steps_name ON steps(partition, name);
CREATE INDEX steps_accession ON steps(partition, accession);
CREATE INDEX steps_procedure ON steps(partition, procedure);
CREATE INDEX steps_study ON steps(partition, study);
CREATE TABLE links(
    partition TEXT, study TEXT, key TEXT, correction TEXT NOT NULL, PRIMARY KEY(partition, study, key)) WITHOUT ROWID;
CREATE INDEX links_order ON links(partition, key);
CREATE TABLE stations(
    partition TEXT, station TEXT, start TEXT, key TEXT, step TEXT,
    PRIMARY KEY(partition, station, start, key, step)) WITHOUT ROWID;
CREATE INDEX stations_order ON stations(partition, key);
CREATE TABLE performed(
    partition TEXT, uid TEXT, state TEXT NOT NULL, attributes BLOB NOT NULL, PRIMARY KEY(partition, uid));
CREATE TABLE performs(
    partition TEXT, uid TEXT, study TEXT, accession TEXT, step TEXT,
    PRIMARY KEY(partition, uid, study, accession, step)) WITHOUT ROWID;
CREATE INDEX performs_study ON performs(partition, study);
CREATE INDEX performs_step ON performs(partition, step);
CREATE TABLE changes(
    number INTEGER PRIMARY KEY, change TEXT UNIQUE, partition TEXT, key TEXT, at INTEGER NOT NULL, payload BLOB,
    erasure INTEGER NOT NULL, accepted INTEGER NOT NULL, reason TEXT NOT NULL, status INTEGER NOT NULL,
    error_id INTEGER NOT NULL);
CREATE INDEX changes_key ON changes(partition, key, at);
CREATE TABLE values_objects(
    object TEXT PRIMARY KEY, partition TEXT, key TEXT, erased INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX values_objects_key ON values_objects(partition, key);
CREATE INDEX values_objects_erased ON values_objects(erased) WHERE erased;
CREATE TABLE workitems(
    partition TEXT, uid TEXT, start TEXT NOT NULL, state TEXT NOT NULL, attributes BLOB NOT NULL, lock TEXT NOT NULL,
    changed_at INTEGER NOT NULL, created_at INTEGER NOT NULL, patient TEXT NOT NULL, label TEXT NOT NULL,
    PRIMARY KEY(partition, uid));
CREATE INDEX workitems_start ON workitems(partition, start, uid);
CREATE INDEX workitems_state ON workitems(partition, state, start, uid);
CREATE INDEX workitems_patient ON workitems(partition, patient);
CREATE TABLE subscriptions(
    partition TEXT, subscriber TEXT, target TEXT, at INTEGER NOT NULL, stands INTEGER NOT NULL, lock INTEGER NOT NULL,
    keys BLOB NOT NULL, suspended_at INTEGER NOT NULL, since INTEGER NOT NULL,
    PRIMARY KEY(partition, target, subscriber)) WITHOUT ROWID;
CREATE TABLE erased_workitems(partition TEXT, uid TEXT, PRIMARY KEY(partition, uid)) WITHOUT ROWID;
CREATE TABLE erased_steps(partition TEXT, uid TEXT, PRIMARY KEY(partition, uid)) WITHOUT ROWID;
"""


def nameless_database() -> sqlite3.Connection:
    """A database in a file that is removed as soon as it is open: no patient data is left behind, however the process
    ends. Durability is the task of the log."""
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA journal_mode=MEMORY")
    connection.execute("PRAGMA cache_size=-65536")
    # Erased data is gone from the file, too, and not only from query results.
    connection.execute("PRAGMA secure_delete=ON")
    connection.executescript(_TABLES)
    return connection
