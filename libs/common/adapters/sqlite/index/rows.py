"""Rows of the index in pages. Each page has the start of the next one (keyset), so that none holds a transaction
open."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gantry.common.adapters.sqlite.index.aggregates import unpack, unpack_list
from gantry.common.adapters.sqlite.index.paths import Path
from gantry.common.adapters.sqlite.index.schema import NARROW, SEVERAL
from gantry.common.dicom.standard.tags import (
    MODALITIES_IN_STUDY,
    NUMBER_OF_PATIENT_RELATED_INSTANCES,
    NUMBER_OF_PATIENT_RELATED_SERIES,
    NUMBER_OF_PATIENT_RELATED_STUDIES,
    NUMBER_OF_SERIES_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_SERIES,
    SERIES_INSTANCE_UID,
    SOP_CLASSES_IN_STUDY,
)
from gantry.common.lifecycle import corrections_below
from gantry.common.ports.index import InstanceKey, KnownReceipt, Location

_COUNTS = "p.studies, p.series, p.instances"
_STUDY_COLUMNS = f"{_COUNTS}, s.attributes, s.modalities, s.sop_classes, s.series, s.instances, s.demographics"
_LOCATION_COLUMNS = (
    "study.uid, series.uid, i.uid, i.sop_class, i.transfer_syntax, i.object_key, i.data_set_offset, i.data_set_length,"
    " i.digest, i.layout, (SELECT count(*) FROM receipt AS r INDEXED BY receipt_aside"
    " WHERE r.instance_id = i.id AND r.aside), study.applied"
)
_ABOVE = "JOIN series ON series.id = i.series_id JOIN study ON study.id = i.study_id"


@dataclass(frozen=True, slots=True)
class Row:
    """A row's id and its attributes, including those of the levels above; its position: the value in the path's column,
    and the ids from the path's own level down to the row's; and for a patient whose studies differ, the attributes by
    each of them, the earliest first."""

    id: int
    attributes: dict[int, Any]
    mark: tuple[str | int, ...] = ()
    variants: tuple[dict[int, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class RowCursor:
    """The position of a walk along a path: the interval, and the column's value and the id of the last row seen."""

    interval: int = 0
    value: str | int | None = None
    id: int = 0


Page = tuple[list[Row], RowCursor | None]
"""Rows, and where the next page begins; None at the end."""


def patients(connection: sqlite3.Connection, partition: str, path: Path, place: RowCursor, limit: int) -> Page:
    """Patients along a path."""
    columns = f"{_COUNTS}, p.attributes, p.variants"
    sql = f"SELECT p.id, {{key}}, {columns} FROM patient p WHERE {{own}}p.partition = ?"  # noqa: S608
    rows, after = _rows_along(connection, sql, "p", partition, path, place, limit)
    page = []
    for number, key, *counted, packed, several in rows:
        counts = _counts(counted)
        variants = tuple([variant | counts for variant in unpack_list(several)]) if several else ()
        page.append(Row(number, unpack(packed) | counts, (key, number), variants))
    return page, after


def studies(connection: sqlite3.Connection, partition: str, path: Path, place: RowCursor, limit: int) -> Page:
    """Studies along a path."""
    sql = f"SELECT s.id, {{key}}, {_STUDY_COLUMNS} FROM study s JOIN patient p ON p.id = s.patient_id"  # noqa: S608
    rows, after = _rows_along(connection, sql + " WHERE {own}s.partition = ?", "s", partition, path, place, limit)
    return [Row(row[0], _study(row[2:]), (row[1], row[0])) for row in rows], after


def studies_by_id(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, dict[int, Any]]:
    """The attributes of studies by the ids of their rows."""
    rows = connection.execute(
        f"SELECT s.id, {_STUDY_COLUMNS} FROM json_each(?) AS asked CROSS JOIN study AS s ON s.id = asked.value"  # noqa: S608
        " JOIN patient p ON p.id = s.patient_id",
        (json.dumps(list(ids)),),
    )
    return {row[0]: _study(row[1:]) for row in rows}


def _rows_along(
    connection: sqlite3.Connection, sql: str, table: str, partition: str, path: Path, place: RowCursor, limit: int
) -> tuple[list[tuple[Any, ...]], RowCursor | None]:
    """Up to `limit` rows from `place` on, and where to continue; None at the end of the path."""
    like, patterns = like_of(table, path)
    sql += like
    if not path.column:
        # The plus prevents SQLite from using an index of partitions, whose rows it would sort again for every page.
        sql = f"{sql.format(key=0, own='+')} AND {table}.id > ? ORDER BY {table}.id LIMIT ?"
        rows = connection.execute(sql, (partition, *patterns, place.id, limit)).fetchall()
        return rows, RowCursor(id=rows[-1][0]) if len(rows) == limit else None
    key = f"{table}.{path.column}"
    sql = sql.format(key=key, own="") + f" AND {key} <= ? AND ({key}, {table}.id) > (?, ?)"
    sql += f" ORDER BY {key}, {table}.id LIMIT ?"
    matches: list[tuple[Any, ...]] = []
    for number in range(place.interval, len(path.intervals)):
        first, last = path.intervals[number]
        value, after = (first, 0) if place.value is None else (place.value, place.id)
        rows = connection.execute(sql, (partition, *patterns, last, value, after, limit - len(matches))).fetchall()
        matches += rows
        if len(matches) == limit:
            return matches, RowCursor(number, rows[-1][1], rows[-1][0])
        place = RowCursor(number + 1)
    return matches, None


def like_of(table: str, path: Path) -> tuple[str, list[str]]:
    """The clauses of `path.like`, and their values. A column cannot decide about several values, or text beyond its
    length; nor can GLOB about a value with a NUL."""
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
    page = []
    for number, uid, packed, instances in rows:
        attributes = {**study.attributes, **unpack(packed)}
        attributes[SERIES_INSTANCE_UID] = [uid]
        attributes[NUMBER_OF_SERIES_RELATED_INSTANCES] = [instances]
        page.append(Row(number, attributes, (*study.mark, number)))
    return page


def instances(connection: sqlite3.Connection, parent: Row, after: int, limit: int) -> list[Row]:
    """The instances of a series."""
    rows = connection.execute(
        "SELECT id, attributes FROM instance WHERE series_id = ? AND id > ? ORDER BY id LIMIT ?",
        (parent.id, after, limit),
    )
    return [Row(number, {**parent.attributes, **unpack(packed)}, (*parent.mark, number)) for number, packed in rows]


def locations(connection: sqlite3.Connection, parent: Row, after: int, limit: int) -> list[tuple[int, Location]]:
    """The locations of the objects of a series."""
    rows = connection.execute(
        f"SELECT i.id, {_LOCATION_COLUMNS} FROM instance i {_ABOVE}"  # noqa: S608
        " WHERE i.series_id = ? AND i.id > ? ORDER BY i.id LIMIT ?",
        (parent.id, after, limit),
    )
    return [(row[0], _location(row[1:])) for row in rows]


def located(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, Location]:
    """The locations of the objects of instances, by the ids of their rows."""
    rows = connection.execute(
        f"SELECT i.id, {_LOCATION_COLUMNS} FROM instance i {_ABOVE} WHERE i.id IN (SELECT value FROM json_each(?))",  # noqa: S608
        (json.dumps(list(ids)),),
    )
    return {row[0]: _location(row[1:]) for row in rows}


def resolved(connection: sqlite3.Connection, partition: str, uids: Sequence[str]) -> dict[str, list[Location]]:
    """The locations of the instances of the named SOP Instance UIDs, the earliest receipt first."""
    rows = connection.execute(
        f"SELECT {_LOCATION_COLUMNS} FROM instance i {_ABOVE}"  # noqa: S608
        " WHERE i.partition = ? AND i.uid IN (SELECT value FROM json_each(?)) ORDER BY i.receipt, series.uid",
        (partition, json.dumps(list(uids))),
    )
    by_uid: dict[str, list[Location]] = {}
    for row in rows:
        by_uid.setdefault(row[2], []).append(_location(row))
    return by_uid


_NAMED = """JOIN study ON study.partition = ?1 AND study.uid = json_extract(asked.value, '$[0]')
    CROSS JOIN series ON series.study_id = study.id AND series.uid = json_extract(asked.value, '$[1]')
    CROSS JOIN instance AS i ON i.series_id = series.id AND i.uid = json_extract(asked.value, '$[2]')"""


def current(
    connection: sqlite3.Connection, partition: str, instances: Sequence[InstanceKey]
) -> dict[InstanceKey, Location]:
    """Where the objects of instances are."""
    rows = connection.execute(
        f"SELECT {_LOCATION_COLUMNS} FROM json_each(?2) AS asked CROSS {_NAMED}",  # noqa: S608
        (partition, _as_json(instances)),
    )
    return {InstanceKey(*row[:3]): _location(row) for row in rows}


def receipts(
    connection: sqlite3.Connection, partition: str, instances: Sequence[InstanceKey]
) -> dict[InstanceKey, list[KnownReceipt]]:
    """All receipts of instances."""
    rows = connection.execute(
        "SELECT study.uid, series.uid, i.uid, r.receipt, r.digest, r.transfer_syntax, r.object_key,"  # noqa: S608
        " r.data_set_offset, r.sender, r.lost"
        f" FROM json_each(?2) AS asked CROSS {_NAMED} JOIN receipt AS r ON r.instance_id = i.id ORDER BY r.receipt",
        (partition, _as_json(instances)),
    )
    known: dict[InstanceKey, list[KnownReceipt]] = {}
    for study, series, uid, receipt, digest, syntax, object_key, offset, sender, lost in rows:
        row = KnownReceipt(receipt, digest, syntax, object_key, offset, sender, bool(lost))
        known.setdefault(InstanceKey(study, series, uid), []).append(row)
    return known


def conflicts(connection: sqlite3.Connection, partition: str, after: str, limit: int) -> list[str]:
    """SOP Instance UIDs with receipts aside, or with several instances, in order."""
    aside = connection.execute(
        "SELECT DISTINCT i.uid FROM receipt AS r INDEXED BY receipt_aside JOIN instance AS i ON i.id = r.instance_id"
        " WHERE r.aside AND i.partition = ?1 AND i.uid > ?2 ORDER BY i.uid LIMIT ?3",
        (partition, after, limit),
    ).fetchall()
    several = connection.execute(
        "SELECT uid FROM instance INDEXED BY instance_uid WHERE partition = ?1 AND uid > ?2"
        " GROUP BY uid HAVING count(*) > 1 ORDER BY uid LIMIT ?3",
        (partition, after, limit),
    ).fetchall()
    return sorted({uid for (uid,) in (*aside, *several)})[:limit]


def _as_json(instances: Sequence[InstanceKey]) -> str:
    return json.dumps([(i.study_instance_uid, i.series_instance_uid, i.sop_instance_uid) for i in instances])


def studies_of(connection: sqlite3.Connection, table: str, partition: str, uids: Sequence[str]) -> list[str]:
    """The Study Instance UIDs of the named rows of `series` or `instance`."""
    owner = "below" if table == "instance" else "study"
    rows = connection.execute(
        f"SELECT DISTINCT study.uid FROM {table} below JOIN study ON study.id = below.study_id"  # noqa: S608
        f" WHERE {owner}.partition = ? AND below.uid IN (SELECT value FROM json_each(?))",
        (partition, json.dumps(list(uids))),
    )
    return [uid for (uid,) in rows]


def _location(row: Sequence[Any]) -> Location:
    location = Location(*row[:-1])
    return replace(location, corrections=corrections_below(row[-1], row[1])) if row[-1] else location


def _counts(row: Sequence[int]) -> dict[int, Any]:
    studies, series, instances = row
    return {
        NUMBER_OF_PATIENT_RELATED_STUDIES: [studies],
        NUMBER_OF_PATIENT_RELATED_SERIES: [series],
        NUMBER_OF_PATIENT_RELATED_INSTANCES: [instances],
    }


def _study(row: Sequence[Any]) -> dict[int, Any]:
    attributes = unpack(row[8]) | _counts(row[:3])
    attributes.update(unpack(row[3]))
    attributes[MODALITIES_IN_STUDY] = json.loads(row[4])
    attributes[SOP_CLASSES_IN_STUDY] = json.loads(row[5])
    attributes[NUMBER_OF_STUDY_RELATED_SERIES] = [row[6]]
    attributes[NUMBER_OF_STUDY_RELATED_INSTANCES] = [row[7]]
    return attributes
