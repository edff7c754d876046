"""Which rows a query must examine: SQL narrows by an index if a condition allows it, the reference matcher decides.

A path is a column with intervals, and patterns that columns must fit; it may hold more rows than match, never fewer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gantry.common.adapters.sqlite.index.schema import NARROW, SEVERAL
from gantry.common.dicom.query import dates
from gantry.common.dicom.query.matching import (
    Condition,
    Fuzzy,
    MultipleValues,
    Query,
    Range,
    Single,
    UidList,
    Wildcard,
    narrowing,
)
from gantry.common.dicom.query.person_names import BETWEEN, key_groups, sounds_of, words_of
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    MODALITIES_IN_STUDY,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DATE,
    STUDY_DESCRIPTION,
    STUDY_INSTANCE_UID,
)

_HIGHEST = "\U0010ffff"
_ALWAYS = (SEVERAL, SEVERAL)
_MOST_PATTERNS = 20
_PLAIN = re.compile(r"[A-Za-z0-9_ ]+")


@dataclass(frozen=True, slots=True)
class Path:
    """Rows whose `column` lies in one of `intervals` (both ends included; apart, and in order); all rows if it is "".
    Of these, only rows where for each of `like` some column fits its pattern (SQLite's GLOB), or cannot decide."""

    column: str
    intervals: tuple[tuple[str | int, str | int], ...] = ()
    like: tuple[tuple[tuple[str, str], ...], ...] = ()

    def interval_of(self, value: str | int) -> int:
        """The number of the first interval that does not end before a value."""
        return next((n for n, (_, last) in enumerate(self.intervals) if str(value) <= str(last)), len(self.intervals))


def path_of_studies(query: Query) -> Path:
    """The best path into the studies of a query: by its conditions, else by its alternatives, if all of these use one
    column."""
    path = study_path(narrowing(query))
    ways = [study_path(alternative) for alternative in query.one_of]
    columns = {way.column for way in ways}
    if path.column or len(columns) != 1 or "" in columns:
        return path
    return Path(
        columns.pop(), _merge_intervals([(str(a), str(b)) for way in ways for a, b in way.intervals]), path.like
    )


def study_path(conditions: Mapping[int, Condition]) -> Path:
    """The best path into the studies that meet conditions."""
    like = tuple(_patterns(conditions))
    for tag, column, intervals in _BY_SELECTIVITY:
        ranges = _narrowest(conditions.get(tag), intervals)
        if ranges is not None:
            return Path(column, _merge_intervals(ranges), like)
    return Path("", (), like)


def _narrowest(condition: Condition | None, intervals: Callable[[Condition], Intervals]) -> Intervals:
    """The intervals of a condition; of several that must all hold (C.2.2.2.8), the one with the fewest intervals."""
    if condition is None:
        return None
    each = condition.conditions if isinstance(condition, MultipleValues) else (condition,)
    candidates = [ranges for part in each if (ranges := intervals(part)) is not None]
    return min(candidates, key=len) if candidates else None


def _merge_intervals(intervals: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The same rows without duplicates, in order."""
    merged: list[tuple[str, str]] = []
    for first, last in sorted(intervals):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def patient_path(conditions: Mapping[int, Condition]) -> Path:
    """The best path into the patients."""
    return study_path({tag: c for tag, c in conditions.items() if tag in (PATIENT_ID, PATIENT_NAME)})


def _patterns(conditions: Mapping[int, Condition]) -> Iterator[tuple[tuple[str, str], ...]]:
    """The patterns of narrowing columns for wildcard matching (PS3.4 C.2.2.2.4) and fuzzy names. GLOB has * and ? like
    DICOM, and also brackets."""
    name = conditions.get(PATIENT_NAME)
    if isinstance(name, Fuzzy) and len(name.names) == 1:
        yield from name_likes(words_of(name.names[0]))
    if modalities := plain_values(conditions.get(MODALITIES_IN_STUDY)):
        yield tuple(("modalities", pattern) for pattern in modalities)
    for tag, column, fold in (
        (ACCESSION_NUMBER, "accession", str),
        (PATIENT_ID, "pid", str),
        (STUDY_DESCRIPTION, "description", str),
        (PATIENT_NAME, "name", _name_key),
    ):
        condition = conditions.get(tag)
        if not isinstance(condition, Wildcard) or len(condition.patterns) > _MOST_PATTERNS:
            continue
        patterns = [fold(pattern) for pattern in condition.patterns]
        if all(pattern and pattern.strip("*") and "\0" not in pattern for pattern in patterns):
            yield tuple((column, glob_of(pattern)) for pattern in patterns)


def name_likes(words: Sequence[str]) -> Iterator[tuple[tuple[str, str], ...]]:
    """The patterns of a name's columns if each of some folded words (`words_of`) begins one of its words, or sounds
    like one."""
    sounds = [[("sounds", f"* {sound} *") for sound in sorted(sounds_of(word))] for word in words]
    # Most rows do not have the letters: checking that costs a tenth of checking for a word that begins like this.
    for word, alike in zip(words, sounds, strict=True):
        yield ("name", glob_of(f"*{word}*")), *alike
    for word, alike in zip(words, sounds, strict=True):
        begins = f"{glob_of(word)}*"
        yield ("name", begins), ("name", f"*[{BETWEEN}]{begins}"), *alike


def plain_values(condition: Condition | None) -> list[str]:
    """GLOB patterns for one of several values in a list of JSON texts; empty if one needs escaping."""
    if not isinstance(condition, Single) or len(condition.values) > _MOST_PATTERNS:
        return []
    return [f'*"{value}"*' for value in condition.values] if all(map(_PLAIN.fullmatch, condition.values)) else []


def glob_of(pattern: str) -> str:
    """A wildcard pattern as GLOB reads it."""
    return pattern.replace("[", "[[]")


Intervals = list[tuple[str, str]] | None


def uids_of(condition: Condition | None) -> tuple[str, ...] | None:
    """The UIDs that a condition names, if it names them."""
    if isinstance(condition, UidList):
        return condition.uids
    return condition.values if isinstance(condition, Single) else None


def _uids(condition: Condition) -> Intervals:
    uids = uids_of(condition)
    return None if uids is None else [(uid, uid) for uid in uids]


def _name_key(key: str) -> str:
    """The pattern of a name column. No column holds several component groups: rows that have them are examined."""
    return "=".join(key_groups(key))


def _texts(fold: Callable[[str], str]) -> Callable[[Condition], Intervals]:
    def intervals(condition: Condition) -> Intervals:
        if isinstance(condition, Single):
            texts = [fold(value)[:NARROW] for value in condition.values]
            return [_ALWAYS, *[(text, text) for text in texts]] if all(texts) else None
        if isinstance(condition, Wildcard):
            begins = [fold(p).partition("*")[0].partition("?")[0][:NARROW] for p in condition.patterns]
            return [_ALWAYS, *[(begin, begin + _HIGHEST) for begin in begins]] if all(begins) else None
        return None

    return intervals


def _dates(condition: Condition) -> Intervals:
    if isinstance(condition, Single):
        values = [dates.date(value) for value in condition.values]
        # An invalid date is compared as text: then only rows with an invalid date can match.
        return [_ALWAYS, *[(date, date) for date in values if date is not None]]
    if not isinstance(condition, Range):
        return None
    first = dates.date(condition.first) if condition.first else "0"
    last = dates.date(condition.last) if condition.last else ":"
    return [] if first is None or last is None else [_ALWAYS, (first, last)]


_BY_SELECTIVITY: tuple[tuple[int, str, Callable[[Condition], Intervals]], ...] = (
    (STUDY_INSTANCE_UID, "uid", _uids),
    (ACCESSION_NUMBER, "accession", _texts(str)),
    (PATIENT_ID, "pid", _texts(str)),
    (PATIENT_NAME, "name", _texts(_name_key)),
    (STUDY_DATE, "date", _dates),
)
