"""Rows of the index in pages. A page says where the next one begins (keyset), so that none holds a transaction open."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from libs.common.adapters.sqlite.index_paths import Path
from libs.common.adapters.sqlite.index_refresh import unpack
from libs.common.adapters.sqlite.index_schema import NARROW, SEVERAL
from libs.common.dicom import attributes as tags
from libs.common.ports.index import Location

_PATIENT_COLUMNS = "p.attributes, p.studies, p.series, p.instances"
_STUDY_COLUMNS = f"{_PATIENT_COLUMNS}, s.attributes, s.modalities, s.sop_classes, s.series, s.instances"
_LOCATION_COLUMNS = (
    "i.uid, i.sop_class, i.transfer_syntax, i.object_key, i.data_set_offset, i.data_set_length, i.digest, i.layout"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row's id and its attributes, those of the levels above included; and where it stands: the value that the path
    goes by, and the ids from the path's own level down to the row's."""

    id: int
    attributes: dict[int, Any]
    mark: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a walk along a path stands: the interval, and the column's value and the id of the last row seen."""

    interval: int = 0
    value: str | int | None = None
    id: int = 0


Page = tuple[list[Row], Place | None]
"""Rows, and where the next page begins; None at the end."""


def patients(connection: sqlite3.Connection, partition: str, path: Path, place: Place, limit: int) -> Page:
    """Patients along a path."""
    sql = f"SELECT p.id, {{key}}, {_PATIENT_COLUMNS} FROM patient p WHERE {{own}}p.partition = ?"  # noqa: S608
    rows, after = _along(connection, sql, "p", partition, path, place, limit)
    return [Row(row[0], _patient(row[2:]), (row[1], row[0])) for row in rows], after


def studies(connection: sqlite3.Connection, partition: str, path: Path, place: Place, limit: int) -> Page:
    """Studies along a path."""
    sql = f"SELECT s.id, {{key}}, {_STUDY_COLUMNS} FROM study s JOIN patient p ON p.id = s.patient_id"  # noqa: S608
    rows, after = _along(connection, sql + " WHERE {own}s.partition = ?", "s", partition, path, place, limit)
    return [Row(row[0], _study(row[2:]), (row[1], row[0])) for row in rows], after


def _along(
    connection: sqlite3.Connection, sql: str, table: str, partition: str, path: Path, place: Place, limit: int
) -> tuple[list[tuple[Any, ...]], Place | None]:
    """Up to `limit` rows from `place` on, and where to go on; None at the end of the path."""
    like, patterns = _like(table, path)
    sql += like
    if not path.column:
        # The plus keeps SQLite from an index of partitions, whose rows it would sort anew for every page.
        sql = f"{sql.format(key=0, own='+')} AND {table}.id > ? ORDER BY {table}.id LIMIT ?"
        rows = connection.execute(sql, (partition, *patterns, place.id, limit)).fetchall()
        return rows, Place(id=rows[-1][0]) if len(rows) == limit else None
    key = f"{table}.{path.column}"
    sql = sql.format(key=key, own="") + f" AND {key} <= ? AND ({key}, {table}.id) > (?, ?)"
    sql += f" ORDER BY {key}, {table}.id LIMIT ?"
    found: list[tuple[Any, ...]] = []
    for number in range(place.interval, len(path.intervals)):
        first, last = path.intervals[number]
        value, after = (first, 0) if place.value is None else (place.value, place.id)
        rows = connection.execute(sql, (partition, *patterns, last, value, after, limit - len(found))).fetchall()
        found += rows
        if len(found) == limit:
            return found, Place(number, rows[-1][1], rows[-1][0])
        place = Place(number + 1)
    return found, None


def _like(table: str, path: Path) -> tuple[str, list[str]]:
    """The clauses of `path.like`, and what they are about. A column tells nothing of several values, nor of what is
    beyond its length; nor does GLOB of a value with a NUL in it."""
    clauses, patterns = "", []
    for alternatives in path.like:
        fits = " OR ".join([f"{table}.{column} GLOB ?" for column, _ in alternatives])
        patterns += [glob for _, glob in alternatives]
        for name in dict.fromkeys([f"{table}.{column}" for column, _ in alternatives]):
            fits += f" OR {name} = ? OR length({name}) >= {NARROW} OR instr({name}, char(0))"
            patterns.append(SEVERAL)
        clauses += f" AND ({fits})"
    return clauses, patterns


def series(connection: sqlite3.Connection, study: Row, after: int, limit: int) -> list[Row]:
    """The series of a study."""
    rows = connection.execute(
        "SELECT id, uid, attributes, instances FROM series WHERE study_id = ? AND id > ? ORDER BY id LIMIT ?",
        (study.id, after, limit),
    )
    found = []
    for number, uid, packed, instances in rows:
        attributes = {**study.attributes, **unpack(packed)}
        attributes[tags.SERIES_INSTANCE_UID] = [uid]
        attributes[tags.NUMBER_OF_SERIES_RELATED_INSTANCES] = [instances]
        found.append(Row(number, attributes, (*study.mark, number)))
    return found


def instances(connection: sqlite3.Connection, of: Row, after: int, limit: int) -> list[Row]:
    """The instances of a series."""
    rows = connection.execute(
        "SELECT id, attributes FROM instance WHERE series_id = ? AND id > ? ORDER BY id LIMIT ?", (of.id, after, limit)
    )
    return [Row(number, {**of.attributes, **unpack(packed)}, (*of.mark, number)) for number, packed in rows]


def locations(connection: sqlite3.Connection, of: Row, after: int, limit: int) -> list[tuple[int, Location]]:
    """Where the objects of a series are."""
    study_uid, uid = (of.attributes[tag][0] for tag in (tags.STUDY_INSTANCE_UID, tags.SERIES_INSTANCE_UID))
    rows = connection.execute(
        f"SELECT i.id, {_LOCATION_COLUMNS} FROM instance i WHERE series_id = ? AND id > ? ORDER BY id LIMIT ?",  # noqa: S608
        (of.id, after, limit),
    )
    return [(row[0], Location(study_uid, uid, *row[1:])) for row in rows]


def resolved(connection: sqlite3.Connection, partition: str, uids: Sequence[str]) -> dict[str, Location]:
    """Where the named instances are."""
    rows = connection.execute(
        f"SELECT study.uid, series.uid, {_LOCATION_COLUMNS} FROM instance i JOIN series ON series.id = i.series_id"  # noqa: S608
        " JOIN study ON study.id = i.study_id"
        " WHERE i.partition = ? AND i.uid IN (SELECT value FROM json_each(?))",
        (partition, json.dumps(list(uids))),
    )
    return {row[2]: Location(*row) for row in rows}


def studies_of(connection: sqlite3.Connection, table: str, partition: str, uids: Sequence[str]) -> list[str]:
    """The Study Instance UIDs of the named rows of `series` or `instance`."""
    owner = "below" if table == "instance" else "study"
    rows = connection.execute(
        f"SELECT DISTINCT study.uid FROM {table} below JOIN study ON study.id = below.study_id"  # noqa: S608
        f" WHERE {owner}.partition = ? AND below.uid IN (SELECT value FROM json_each(?))",
        (partition, json.dumps(list(uids))),
    )
    return [uid for (uid,) in rows]


def _patient(row: Sequence[Any]) -> dict[int, Any]:
    attributes = unpack(row[0])
    attributes[tags.NUMBER_OF_PATIENT_RELATED_STUDIES] = [row[1]]
    attributes[tags.NUMBER_OF_PATIENT_RELATED_SERIES] = [row[2]]
    attributes[tags.NUMBER_OF_PATIENT_RELATED_INSTANCES] = [row[3]]
    return attributes


def _study(row: Sequence[Any]) -> dict[int, Any]:
    attributes = _patient(row)
    attributes.update(unpack(row[4]))
    attributes[tags.MODALITIES_IN_STUDY] = json.loads(row[5])
    attributes[tags.SOP_CLASSES_IN_STUDY] = json.loads(row[6])
    attributes[tags.NUMBER_OF_STUDY_RELATED_SERIES] = [row[7]]
    attributes[tags.NUMBER_OF_STUDY_RELATED_INSTANCES] = [row[8]]
    return attributes
