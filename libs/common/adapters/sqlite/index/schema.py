"""The tables of the search index.

Attributes are msgpack maps of tag to "Value" (DICOM JSON). The columns `pid`, `name`, `accession`, `date`,
`description` and `sounds` (of the words of the name, blanks around each) only narrow a search: they hold a value's
beginning if there is exactly one, and `SEVERAL` if only the attributes can decide. `first` is the receipt of the
earliest current instance, whose attributes stand for the whole.

`study.demographics` are the patient's attributes as this study says them; `patient.variants` is a list of the values in
its studies, the earliest first, if these differ. `instance.receipt` is the one that decides; `object_key` and
`data_set_offset` are those of the earliest receipt of the same bytes whose object is not lost.

The columns of `study` in `ORDERED` hold what studies are ordered by (`gantry.common.dicom.query.ordering`), and each
has an index that is walked in both directions.

`fate` holds what was decided about receipts (`gantry.common.lifecycle`). A hidden receipt is in no other table; it is
restored from its `entry` (`past_receipts.pack_entry`). `receipt.entry` is that of a receipt aside, which becomes
current when the receipt before it is deleted.

`correction` holds all corrections of a study or a patient; `study.applied` those that apply to it, as `Effect.pack`
packs them, and `study.walk` the patients on its walk; `study.confidential` says whether it has a Confidentiality
Constraint on Patient Data Description. Attributes of instances are those of the objects; those of series, studies and
patients are corrected. `patient.key` is a digest (`gantry.common.lifecycle.patient_key`). `hold.study` is a Study
Instance UID, or the key of a patient's holds (`gantry.common.lifecycle.holder_of`). `access` holds the last access of
studies whose retention counts from it. `place` holds the object stores of receipts whose objects were relocated;
`hidden` follows from `fate`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import lru_cache

from gantry.common.dicom.query.attributes import Attribute, AttributeTable, Level
from gantry.common.dicom.query.ordering import RECEIVED
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    MODALITIES_IN_STUDY,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_SERIES,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    REFERRING_PHYSICIAN_NAME,
    STUDY_DATE,
    STUDY_DESCRIPTION,
    STUDY_TIME,
)
from gantry.common.lifecycle.patients import digest_of

VERSION = 9
SEVERAL = "\x01"
"""Marks a row that every query examines."""
NARROW = 128
"""Characters of a value that a narrowing column holds."""

ORDERED = {
    STUDY_DATE: "by_date",
    STUDY_TIME: "by_time",
    PATIENT_NAME: "by_name",
    PATIENT_ID: "by_pid",
    PATIENT_BIRTH_DATE: "by_birth",
    ACCESSION_NUMBER: "by_accession",
    STUDY_DESCRIPTION: "by_description",
    REFERRING_PHYSICIAN_NAME: "by_referrer",
    MODALITIES_IN_STUDY: "by_modalities",
    NUMBER_OF_STUDY_RELATED_SERIES: "series",
    NUMBER_OF_STUDY_RELATED_INSTANCES: "instances",
    RECEIVED: "first",
}
"""The column of `study` for each order."""
ORDER_TEXTS = {tag: column for tag, column in ORDERED.items() if column.startswith("by_")}
"""The orders whose column holds a text made for it."""

_ORDER_COLUMNS = [f"{column} TEXT NOT NULL DEFAULT ''" for column in ORDER_TEXTS.values()]
_ORDER_INDICES = "\n".join(
    f"CREATE INDEX study_order_{column} ON study"
    f" (partition, {'by_date, by_time' if column == 'by_date' else column}, uid);"
    for column in ORDERED.values()
)
_INSTANCE = """CREATE TABLE instance (
    id INTEGER PRIMARY KEY AUTOINCREMENT, partition TEXT NOT NULL, uid TEXT NOT NULL, study_id INTEGER NOT NULL,
    series_id INTEGER NOT NULL, receipt TEXT NOT NULL, sop_class TEXT NOT NULL, transfer_syntax TEXT NOT NULL,
    object_key TEXT NOT NULL, data_set_offset INTEGER NOT NULL, data_set_length INTEGER NOT NULL,
    digest TEXT NOT NULL, attributes BLOB NOT NULL, above BLOB NOT NULL,
    layout BLOB NOT NULL DEFAULT X'', UNIQUE (series_id, uid));
CREATE INDEX instance_uid ON instance (partition, uid, receipt);
CREATE INDEX instance_series ON instance (series_id);
CREATE INDEX instance_class ON instance (series_id, sop_class, receipt);

CREATE TABLE receipt (
    instance_id INTEGER NOT NULL, receipt TEXT NOT NULL, digest TEXT NOT NULL, transfer_syntax TEXT NOT NULL,
    object_key TEXT NOT NULL, data_set_offset INTEGER NOT NULL DEFAULT -1, sender TEXT NOT NULL DEFAULT '',
    aside INTEGER NOT NULL DEFAULT 0, lost INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instance_id, receipt)) WITHOUT ROWID;
CREATE INDEX receipt_aside ON receipt (instance_id, receipt) WHERE aside;
"""
_FATE = """ALTER TABLE receipt ADD COLUMN entry BLOB NOT NULL DEFAULT X'';
CREATE TABLE fate (
    partition TEXT NOT NULL, study TEXT NOT NULL, receipt TEXT NOT NULL, series TEXT NOT NULL, uid TEXT NOT NULL,
    fate BLOB NOT NULL, lost INTEGER NOT NULL DEFAULT 0, entry BLOB NOT NULL DEFAULT X'',
    PRIMARY KEY (partition, receipt)) WITHOUT ROWID;
CREATE INDEX fate_study ON fate (partition, study, receipt);
CREATE TABLE hold (
    partition TEXT NOT NULL, study TEXT NOT NULL, hold TEXT NOT NULL, placed INTEGER NOT NULL DEFAULT 0,
    released INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (partition, study, hold)) WITHOUT ROWID;
"""
_CORRECTIONS = """CREATE TABLE correction (
    partition TEXT NOT NULL, study TEXT NOT NULL, patient TEXT NOT NULL, state BLOB NOT NULL,
    PRIMARY KEY (partition, study, patient)) WITHOUT ROWID;
ALTER TABLE study ADD COLUMN applied BLOB NOT NULL DEFAULT X'';
ALTER TABLE study ADD COLUMN walk TEXT NOT NULL DEFAULT '[]';
UPDATE patient SET key = digest_of(key);
UPDATE study SET walk = json_array((SELECT key FROM patient WHERE patient.id = study.patient_id));
"""
_ACCESS = """CREATE TABLE access (
    partition TEXT NOT NULL, study TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (partition, study)) WITHOUT ROWID;
"""
_PLACE = """CREATE TABLE place (
    partition TEXT NOT NULL, study TEXT NOT NULL, series TEXT NOT NULL, uid TEXT NOT NULL, receipt TEXT NOT NULL,
    store TEXT NOT NULL, at INTEGER NOT NULL, hidden INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (partition, receipt)) WITHOUT ROWID;
CREATE INDEX place_store ON place (partition, study, store, series, uid) WHERE NOT hidden;
"""
_CONFIDENTIAL = "ALTER TABLE study ADD COLUMN confidential INTEGER NOT NULL DEFAULT 0"
_SCHEMA = f"""
CREATE TABLE patient (
    id INTEGER PRIMARY KEY AUTOINCREMENT, partition TEXT NOT NULL, key TEXT NOT NULL, first TEXT NOT NULL DEFAULT '',
    attributes BLOB NOT NULL DEFAULT X'80', studies INTEGER NOT NULL DEFAULT 0, series INTEGER NOT NULL DEFAULT 0,
    instances INTEGER NOT NULL DEFAULT 0, pid TEXT NOT NULL DEFAULT '', name TEXT NOT NULL DEFAULT '',
    sounds TEXT NOT NULL DEFAULT '{SEVERAL}', variants BLOB NOT NULL DEFAULT X'', UNIQUE (partition, key));
CREATE INDEX patient_pid ON patient (partition, pid);
CREATE INDEX patient_name ON patient (partition, name);

CREATE TABLE study (
    id INTEGER PRIMARY KEY AUTOINCREMENT, partition TEXT NOT NULL, uid TEXT NOT NULL, patient_id INTEGER NOT NULL
    DEFAULT 0, first TEXT NOT NULL DEFAULT '', attributes BLOB NOT NULL DEFAULT X'80',
    series INTEGER NOT NULL DEFAULT 0, instances INTEGER NOT NULL DEFAULT 0, modalities TEXT NOT NULL DEFAULT '[]',
    sop_classes TEXT NOT NULL DEFAULT '[]', pid TEXT NOT NULL DEFAULT '', name TEXT NOT NULL DEFAULT '',
    accession TEXT NOT NULL DEFAULT '', date TEXT NOT NULL DEFAULT '', sounds TEXT NOT NULL DEFAULT '{SEVERAL}',
    description TEXT NOT NULL DEFAULT '{SEVERAL}', demographics BLOB NOT NULL DEFAULT X'80',
    {", ".join(_ORDER_COLUMNS)}, UNIQUE (partition, uid));
CREATE INDEX study_patient ON study (patient_id);
CREATE INDEX study_pid ON study (partition, pid);
CREATE INDEX study_name ON study (partition, name);
CREATE INDEX study_accession ON study (partition, accession);
CREATE INDEX study_date ON study (partition, date);
{_ORDER_INDICES}

CREATE TABLE series (
    id INTEGER PRIMARY KEY AUTOINCREMENT, study_id INTEGER NOT NULL, uid TEXT NOT NULL, first TEXT NOT NULL DEFAULT '',
    attributes BLOB NOT NULL DEFAULT X'80', instances INTEGER NOT NULL DEFAULT 0,
    modalities TEXT NOT NULL DEFAULT '[]', sop_classes TEXT NOT NULL DEFAULT '[]', UNIQUE (study_id, uid));
CREATE INDEX series_study ON series (study_id);
CREATE INDEX series_uid ON series (uid);

{_INSTANCE}"""
_ATTRIBUTE = """CREATE TABLE attribute (
    tag INTEGER PRIMARY KEY, keyword TEXT NOT NULL, vr TEXT NOT NULL, level TEXT NOT NULL, creator TEXT NOT NULL);
"""
_UPGRADES = {
    # Earlier entries have no layout: it is read from the objects, until `gantry reindex`.
    1: "ALTER TABLE instance ADD COLUMN layout BLOB NOT NULL DEFAULT X''",
    # Every query examines the existing rows.
    2: f"""ALTER TABLE patient ADD COLUMN sounds TEXT NOT NULL DEFAULT '{SEVERAL}';
ALTER TABLE study ADD COLUMN sounds TEXT NOT NULL DEFAULT '{SEVERAL}';
ALTER TABLE study ADD COLUMN description TEXT NOT NULL DEFAULT '{SEVERAL}';
DROP INDEX receipt_aside;
CREATE INDEX receipt_aside ON receipt (partition, uid, receipt) WHERE aside;
{_ATTRIBUTE}""",
    # An instance belongs to its series. Receipts that are aside because they arrived in another study stay with the
    # instance that they were compared with; `gantry reindex` makes instances of them. Until a study changes, it shows
    # the demographics that it showed before.
    3: f"""ALTER TABLE patient ADD COLUMN variants BLOB NOT NULL DEFAULT X'';
ALTER TABLE study ADD COLUMN demographics BLOB NOT NULL DEFAULT X'80';
UPDATE study SET demographics = coalesce((SELECT attributes FROM patient WHERE id = study.patient_id), X'80');
ALTER TABLE instance RENAME TO instance_3;
ALTER TABLE receipt RENAME TO receipt_3;
DROP INDEX instance_series;
DROP INDEX instance_class;
DROP INDEX receipt_aside;
{_INSTANCE}INSERT INTO instance SELECT * FROM instance_3;
INSERT INTO receipt SELECT i.id, r.receipt, r.digest, r.transfer_syntax, r.object_key,
    CASE r.receipt WHEN i.receipt THEN i.data_set_offset ELSE -1 END, '', r.aside, 0
    FROM receipt_3 r JOIN instance_3 i ON i.partition = r.partition AND i.uid = r.uid;
DROP TABLE receipt_3;
DROP TABLE instance_3""",  # noqa: S608 - names of ours
    # Each study gets the texts that it is ordered by (`fill`) before they are indexed.
    4: ";\n".join([*(f"ALTER TABLE study ADD COLUMN {column}" for column in _ORDER_COLUMNS), "FILL", _ORDER_INDICES]),
    # Earlier receipts aside have no entry of their own: if only they are left after a deletion, they are found again
    # after `gantry reindex`.
    5: _FATE,
    6: f"{_CORRECTIONS}{_ACCESS}",
    7: _PLACE,
    # No earlier index has the attribute: it can be searched after `gantry reindex`.
    8: _CONFIDENTIAL,
}
"""The migration from each version to the next."""


def create(
    connection: sqlite3.Connection, attributes: AttributeTable, fill: Callable[[sqlite3.Connection], None]
) -> None:
    """Create the tables for `attributes`, inside the open transaction, if they do not exist, or migrate those of an
    earlier version. `fill` writes the order columns of all studies."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version > VERSION:
        raise sqlite3.DatabaseError(f"search index has version {version}, not {VERSION}: remove it to have it rebuilt")
    connection.create_function("digest_of", 1, digest_of, deterministic=True)
    steps = (
        [_UPGRADES[known] for known in range(version, VERSION)]
        if version
        else [_SCHEMA, _ATTRIBUTE, _FATE, _CORRECTIONS, _ACCESS, _PLACE, _CONFIDENTIAL]
    )
    for statement in ";\n".join(steps).split(";\n"):
        if statement.strip() == "FILL":
            fill(connection)
        elif statement.strip():
            connection.execute(statement)
    made_for = [] if version else attributes.added
    rows = [(a.tag, a.keyword, a.vr, a.level.value, a.creator) for a in made_for]
    connection.executemany("INSERT INTO attribute VALUES (?, ?, ?, ?, ?)", rows)
    connection.execute(f"PRAGMA user_version={VERSION}")


def attributes_of(connection: sqlite3.Connection) -> AttributeTable:
    """The attributes that the tables were made for."""
    return _table(tuple(connection.execute("SELECT tag, keyword, vr, level, creator FROM attribute ORDER BY tag")))


@lru_cache(maxsize=4)
def _table(rows: tuple[tuple[int, str, str, str, str], ...]) -> AttributeTable:
    return AttributeTable(
        Attribute(tag, keyword, vr, Level(level), creator=creator) for tag, keyword, vr, level, creator in rows
    )
