"""The number of matches, and the n-th match, counted by SQL if the narrowing columns decide.

A column cannot decide about several values, or text beyond its length: such rows are few, and the reference matcher
checks them. If no column holds the attribute of a condition, `total` is None, and all rows are checked.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gantry.common.adapters.sqlite.index.ordered import ON_PATH, OrderedWalk, Way, sorting, source_of
from gantry.common.adapters.sqlite.index.paths import Path, glob_of, name_likes, plain_values, uids_of
from gantry.common.adapters.sqlite.index.rows import studies_by_id
from gantry.common.adapters.sqlite.index.schema import NARROW, SEVERAL
from gantry.common.dicom.query import dates
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Condition, Empty, Fuzzy, Predicate, Query, Range, Single, Wildcard
from gantry.common.dicom.query.matching import Cursor as Mark
from gantry.common.dicom.query.ordering import signature
from gantry.common.dicom.query.person_names import key_groups, words_of
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION,
    MODALITIES_IN_STUDY,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_SERIES,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DATE,
    STUDY_DESCRIPTION,
    STUDY_INSTANCE_UID,
)

_AT_ONCE = 500
_MOST_VALUES = 50
_COUNTED = {Level.STUDY: "count(*)", Level.SERIES: "sum(s.series)", Level.IMAGE: "sum(s.instances)"}
_COUNT_TAGS = {Level.SERIES: NUMBER_OF_STUDY_RELATED_SERIES, Level.IMAGE: NUMBER_OF_STUDY_RELATED_INSTANCES}
_BELOW = {
    Level.STUDY: ("", "s.id"),
    Level.SERIES: (" CROSS JOIN series AS e ON e.study_id = s.id", "s.id, e.id"),
    Level.IMAGE: (
        " CROSS JOIN series AS e ON e.study_id = s.id CROSS JOIN instance AS i ON i.series_id = e.id",
        "s.id, e.id, i.id",
    ),
}
"""The tables joined to studies for a level, and the sort of its listing without an order."""
_NEVER = "0"


@dataclass(frozen=True, slots=True)
class _Decided:
    """A condition in SQL: `fits` is true for rows that match, `unsure` for those whose column cannot decide."""

    fits: str
    values: tuple[str, ...]
    unsure: str = _NEVER


def total(connection: sqlite3.Connection, query: Query, path: Path, test: Predicate) -> int | None:
    """The number of matches; None if SQL cannot decide. `test` takes a study and its patient."""
    decided = _decided(query)
    if decided is None or query.level not in _COUNTED:
        return None
    source, values = "study AS s WHERE s.partition = ?", [query.partition]
    if path.column:
        source, values = f"{ON_PATH.format(path.column)} WHERE 1", [json.dumps(path.intervals), query.partition]
    arguments = [value for clause in decided for value in clause.values]
    counted = f"SELECT coalesce({_COUNTED[query.level]}, 0) FROM {source}{_sure(decided)}"  # noqa: S608 - names of ours
    (number,) = connection.execute(counted, (*values, *arguments)).fetchone()
    perhaps = _perhaps(decided)
    if not perhaps:
        return int(number)
    listed = f"SELECT s.id FROM {source}{perhaps} AND s.id > ? ORDER BY s.id LIMIT {_AT_ONCE}"  # noqa: S608
    last = 0
    while ids := [row[0] for row in connection.execute(listed, (*values, *arguments, last))]:
        last = ids[-1]
        number += sum(_weight(a, query.level) for a in studies_by_id(connection, ids).values() if test(a))
    return int(number)


def place_behind(connection: sqlite3.Connection, query: Query, path: Path, count: int) -> Mark | None:
    """The position after the first `count` matches, as in a listing; None if SQL cannot decide, or fewer match. For
    series and instances it works if all conditions are on studies."""
    decided = _decided(query)
    if decided is None or query.level not in _BELOW or count < 1 or (path.column and not query.order):
        return None
    if query.order:
        walk = OrderedWalk(query, path, Way.ALONG_THE_PATH if path.column else Way.BY_THE_ORDER)
        (source, values), sorted_by = source_of(walk), sorting(walk)
        columns = ", ".join([column for column, _ in walk.keys])
    else:
        below, columns = _BELOW[query.level]
        source, values, sorted_by = f"study AS s{below} WHERE +s.partition = ?", [query.partition], columns
    arguments = [*values, *[value for clause in decided for value in clause.values]]
    perhaps = _perhaps(decided)
    if perhaps and connection.execute(f"SELECT 1 FROM {source}{perhaps} LIMIT 1", arguments).fetchone():  # noqa: S608
        return None
    sql = f"SELECT {columns} FROM {source}{_sure(decided)} ORDER BY {sorted_by} LIMIT 1 OFFSET ?"  # noqa: S608
    row = connection.execute(sql, (*arguments, count - 1)).fetchone()
    return row and (signature(query.order) if query.order else 0, *row)


def _sure(decided: Sequence[_Decided]) -> str:
    """The SQL condition for rows that match, as far as columns decide."""
    return "".join([f" AND ({clause.fits}) AND NOT ({clause.unsure})" for clause in decided])


def _perhaps(decided: Sequence[_Decided]) -> str:
    """The SQL condition for rows whose columns cannot decide; "" if all can. It takes the same values."""
    unsure = [clause.unsure for clause in decided if clause.unsure != _NEVER]
    fits = "".join([f" AND ({clause.fits} OR {clause.unsure})" for clause in decided])
    return f"{fits} AND ({' OR '.join(unsure)})" if unsure else ""


def _weight(attributes: Mapping[int, Any], level: Level) -> int:
    """How many documents of a level are below a study."""
    return int(attributes[_COUNT_TAGS[level]][0]) if level in _COUNT_TAGS else 1


def _decided(query: Query) -> list[_Decided] | None:
    named = STUDY_INSTANCE_UID in query.conditions and uids_of(query.conditions[STUDY_INSTANCE_UID]) is not None
    # The path uses the named studies.
    conditions = {tag: c for tag, c in query.conditions.items() if not (named and tag == STUDY_INSTANCE_UID)}
    clauses = _decided_all(conditions, query)
    if clauses is None or not query.one_of:
        return clauses
    alternatives = [_decided_all(alternative, query) for alternative in query.one_of]
    known = [alternative for alternative in alternatives if alternative is not None]
    return [*clauses, _any_alternative(known)] if len(known) == len(alternatives) else None


def _decided_all(conditions: Mapping[int, Condition], query: Query) -> list[_Decided] | None:
    clauses = []
    for tag, condition in conditions.items():
        decide = None if query.zone and tag == STUDY_DATE else _DECIDED.get(tag)
        decided = None if decide is None else decide(condition)
        if decided is None:
            return None
        clauses.append(decided)
    return clauses


def _any_alternative(alternatives: Sequence[Sequence[_Decided]]) -> _Decided:
    """All conditions of one alternative hold."""
    every = [clause for alternative in alternatives for clause in alternative]
    return _Decided(
        " OR ".join(
            [f"({' AND '.join([f'({clause.fits})' for clause in alternative])})" for alternative in alternatives]
        ),
        tuple(value for clause in every for value in clause.values),
        " OR ".join(sorted({clause.unsure for clause in every} - {_NEVER})) or _NEVER,
    )


def _text(column: str, fold: Callable[[str], str | None]) -> Callable[[Condition], _Decided | None]:
    name = f"s.{column}"

    def decided(condition: Condition) -> _Decided | None:
        patterns = condition.patterns if isinstance(condition, Wildcard) else ()
        condition_values = condition.values if isinstance(condition, Single) else patterns
        texts = [fold(value) for value in condition_values]
        if not 0 < len(texts) <= _MOST_VALUES or not all(t and t.strip("*") and "\0" not in t for t in texts):
            return None
        sign = "GLOB" if patterns else "="
        values = tuple(glob_of(text or "") if patterns else text or "" for text in texts)
        return _Decided(" OR ".join([f"{name} {sign} ?"] * len(texts)), values, _unsure(name))

    return decided


def _name(key: str) -> str | None:
    """A name key with one component group; None for others."""
    groups = key_groups(key)
    return groups[0] if len(groups) == 1 else None


def _names(condition: Condition) -> _Decided | None:
    """A literal name, a pattern, or words that begin some of its words or sound like them."""
    if not isinstance(condition, Fuzzy):
        return _text("name", _name)(condition)
    words = words_of(condition.names[0]) if len(condition.names) == 1 else []
    begins = [word.removesuffix("*") for word in words]
    if not words or any(not begin or set("*?\0") & set(begin) for begin in begins):
        return None
    likes = list(name_likes(words))
    columns = sorted({f"s.{column}" for each in likes for column, _ in each})
    return _Decided(
        " AND ".join([f"({' OR '.join([f's.{column} GLOB ?' for column, _ in each])})" for each in likes]),
        tuple(pattern for each in likes for _, pattern in each),
        " OR ".join(map(_unsure, columns)),
    )


def _unsure(name: str) -> str:
    return f"{name} = '{SEVERAL}' OR length({name}) >= {NARROW} OR instr({name}, char(0))"


def _date(condition: Condition) -> _Decided | None:
    unsure = f"s.date = '{SEVERAL}'"
    if isinstance(condition, Single) and len(condition.values) <= _MOST_VALUES:
        days = [day for day in map(dates.date, condition.values) if day is not None]
        return _Decided(" OR ".join(["s.date = ?"] * len(days)) or _NEVER, tuple(days), unsure)
    if not isinstance(condition, Range) or condition.time_tag is not None:
        return None
    first = dates.date(condition.first) if condition.first else "0"
    last = dates.date(condition.last) if condition.last else ":"
    if first is None or last is None:
        return _Decided(_NEVER, ())
    return _Decided("s.date BETWEEN ? AND ?", (first, last), unsure)


def _modalities(condition: Condition) -> _Decided | None:
    """Modalities are a list of JSON texts."""
    patterns = plain_values(condition)
    return _Decided(" OR ".join(["s.modalities GLOB ?"] * len(patterns)), tuple(patterns)) if patterns else None


def _uids(condition: Condition) -> _Decided | None:
    uids = uids_of(condition)
    if uids is None or len(uids) > _MOST_VALUES:
        return None
    return _Decided(f"s.uid IN ({', '.join('?' * len(uids))})", tuple(uids))


def _ordinary(condition: Condition) -> _Decided | None:
    return _Decided("NOT s.confidential", ()) if isinstance(condition, Empty) else None


_DECIDED: dict[int, Callable[[Condition], _Decided | None]] = {
    ACCESSION_NUMBER: _text("accession", str),
    PATIENT_ID: _text("pid", str),
    PATIENT_NAME: _names,
    STUDY_DESCRIPTION: _text("description", str),
    STUDY_DATE: _date,
    MODALITIES_IN_STUDY: _modalities,
    STUDY_INSTANCE_UID: _uids,
    CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION: _ordinary,
}
