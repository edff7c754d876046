"""Queries, documents, and the reference matcher: PS3.4 C.2.2.2 as pure functions.

The types are fixed here; every index backend answers as `matches` does.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query import dates
from gantry.common.dicom.query.attributes import STANDARD, AttributeTable, Level
from gantry.common.dicom.query.ordering import Order
from gantry.common.dicom.query.person_names import agree, fold_name, is_like, key_groups, words_of
from gantry.common.dicom.query.timezones import in_zone

T = TypeVar("T")

__all__ = [
    "Condition",
    "Cursor",
    "Document",
    "Empty",
    "Fuzzy",
    "Item",
    "Level",
    "MultipleValues",
    "Predicate",
    "Query",
    "Range",
    "Single",
    "UidList",
    "Wildcard",
    "matcher",
    "matches",
    "narrowing",
]


@dataclass(frozen=True, slots=True)
class Single:
    """Single value matching (C.2.2.2.1) of one or, for a multi-valued key, any of several values (C.2.2.2.8)."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UidList:
    """List of UID matching (C.2.2.2.2)."""

    uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wildcard:
    """Wildcard matching (C.2.2.2.4) with * and ?; any of several patterns."""

    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """Range matching (C.2.2.2.5), both ends included; None is open. `first` and `last` are DA, TM or DT values. If
    `time_tag` is given, date and time are matched as one moment (combined date-time matching)."""

    first: str | None
    last: str | None
    time_tag: int | None = None
    first_time: str | None = None
    last_time: str | None = None


@dataclass(frozen=True, slots=True)
class Empty:
    """Empty value matching (C.2.2.2.7): the attribute is absent, or has no value."""


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """Fuzzy semantic matching of person names (C.2.2.2.1), of one or any of several names. Every word of the requested
    name must be like some word of the stored name, in any order: it is its beginning, sounds like it, or, with * and ?,
    is a pattern that it fits."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MultipleValues:
    """Multiple value matching (C.2.2.2.8): each condition holds for some value of the attribute."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """Sequence matching (C.2.2.2.6): all conditions, by tag, hold for one and the same item of the sequence."""

    conditions: Mapping[int, Condition]


Condition = Single | UidList | Wildcard | Range | Empty | Fuzzy | MultipleValues | Item


@dataclass(frozen=True, slots=True)
class Query:
    """A query: conditions by tag (universal matching, C.2.2.2.3, has none). `limit` bounds the matches. `zone` is an
    offset from UTC: dates and times are compared as local times there (timezone query adjustment). `attributes` has the
    VR and level of each. `order` is that of the matches, by their stored values, whatever the zone; without it, the
    index chooses an order that does not change. `one_of` are conditions on attributes of studies and their patients; a
    match's study must also meet one of these mappings: this is not a kind of DICOM matching, but restricts what a
    requester sees. It is not used at PATIENT level."""

    partition: str
    level: Level
    conditions: Mapping[int, Condition] = field(default_factory=dict)
    limit: int | None = None
    zone: str = ""
    attributes: AttributeTable = field(default=STANDARD, compare=False)
    order: Order = ()
    one_of: tuple[Mapping[int, Condition], ...] = ()


Cursor = tuple[str | int, ...]
"""A position in a listing; its form is the backend's own, and it is valid for its query only."""


@dataclass(frozen=True, slots=True)
class Document:
    """One patient, study, series or instance: tags of its level and the levels above, values as in DICOM JSON. `place`
    is its position in the listing."""

    level: Level
    attributes: Mapping[int, Any]
    place: Cursor = field(default=(), compare=False)


Predicate = Callable[[Mapping[int, Any]], bool]

_NUMBERS = frozenset(("DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"))
_MOMENTS = frozenset(("DA", "TM", "DT"))


def matches(query: Query, document: Document) -> bool:
    """Whether a document of the query's level matches all its conditions. An empty or absent value matches only
    universal matching and a pattern of asterisks (C.2.2.2.3, C.2.2.2.4)."""
    return document.level is query.level and matcher(query)(document.attributes)


def matcher(query: Query) -> Predicate:
    """`matches` for many documents of the query's level: the work on the conditions is done once."""
    holds = _all_of(query.conditions, query.attributes)
    if query.one_of:
        holds = _and_any(holds, [_all_of(alternative, query.attributes) for alternative in query.one_of])
    if not query.zone or not (query.conditions or query.one_of):
        return holds
    return lambda attributes: holds(in_zone(attributes, query.zone))


def _and_any(holds: Predicate, others: Sequence[Predicate]) -> Predicate:
    return lambda attributes: holds(attributes) and any(other(attributes) for other in others)


def narrowing(query: Query) -> Mapping[int, Condition]:
    """Conditions by which an index may narrow its stored values: they include everything that can match. With a zone, a
    day may have another date there, and a time any value."""
    if not query.zone:
        return query.conditions
    conditions: dict[int, Condition] = {}
    for tag, condition in query.conditions.items():
        vr = query.attributes.vr_of(tag)
        if vr == b"DA" and (around := _days_around(condition)) is not None:
            conditions[tag] = around
        elif vr not in (b"DA", b"TM", b"DT"):
            conditions[tag] = condition
    return conditions


def _days_around(condition: Condition) -> Range | None:
    """The days of a condition on a date, with one before and one after."""
    if isinstance(condition, Range):
        first, last = condition.first, condition.last
    elif isinstance(condition, Single) and len(condition.values) == 1:
        first = last = condition.values[0]
    else:
        return None
    before, after = first and dates.day_beside(first, -1), last and dates.day_beside(last, 1)
    return Range(before or None, after or None) if before or after else None


def _all_of(conditions: Mapping[int, Condition], table: AttributeTable = STANDARD) -> Predicate:
    tests = [_predicate(tag, table.vr_of(tag).decode("ascii"), condition) for tag, condition in conditions.items()]
    if len(tests) == 1:
        return tests[0]
    return lambda attributes: all(test(attributes) for test in tests)


def _predicate(tag: int, vr: str, condition: Condition) -> Predicate:
    if isinstance(condition, Range):
        return _in_range(tag, vr, condition)
    if isinstance(condition, UidList):
        uids = frozenset(condition.uids)
        return lambda attributes: any(value in uids for value in attributes.get(tag) or ())
    if isinstance(condition, Wildcard):
        return _like(tag, vr, condition.patterns)
    if isinstance(condition, Single):
        return _equal(tag, vr, condition.values)
    if isinstance(condition, Fuzzy):
        return _fuzzy_predicate(tag, condition.names)
    if isinstance(condition, Item):
        return _in_item(tag, condition.conditions)
    if isinstance(condition, MultipleValues):
        tests = [_predicate(tag, vr, part) for part in condition.conditions]
        return lambda attributes: all(test(attributes) for test in tests)
    return lambda attributes: not any(v is not None and v != "" for v in attributes.get(tag) or ())


def _in_item(tag: int, conditions: Mapping[int, Condition]) -> Predicate:
    holds = _all_of(conditions)
    return lambda attributes: any(isinstance(item, dict) and holds(item) for item in attributes.get(tag) or ())


def _fuzzy_predicate(tag: int, names: tuple[str, ...]) -> Predicate:
    wanted = [[_word(word) for word in words_of(name)] for name in names]

    def sounds_alike(attributes: Mapping[int, Any]) -> bool:
        for value in attributes.get(tag) or ():
            words = words_of(text_of(value)) if value else []
            if any(all(any(test(word) for word in words) for test in tests) for tests in wanted):
                return True
        return False

    return sounds_alike


def _word(text: str) -> Callable[[str], bool]:
    if "*" in text or "?" in text:
        pattern = _pattern(text)
        return lambda word: pattern.match(word) is not None
    return lambda word: is_like(text, word)


def _equal(tag: int, vr: str, values: tuple[str, ...]) -> Predicate:
    if vr == "PN":
        return _named(tag, [key_groups(value) for value in values], operator.eq)
    normal = _normaliser(vr)
    keys = frozenset(normal(value) for value in values)
    return lambda attributes: any(
        normal(value) in keys for value in attributes.get(tag) or () if value is not None and value != ""
    )


def _normaliser(vr: str) -> Callable[[Any], Any]:
    if vr in _MOMENTS:
        # C.2.2.2.1: dates and times are compared by their meaning.
        return lambda value: dates.normal(vr, text_of(value)) or text_of(value)
    return _number if vr in _NUMBERS else text_of


def _number(value: Any) -> Any:
    try:
        number = float(value)
    except (ValueError, TypeError, OverflowError):
        return text_of(value)
    return number if math.isfinite(number) else text_of(value)


def _named(tag: int, keys: Sequence[Sequence[T]], test: Callable[[T, str], bool]) -> Predicate:
    """A test for a name that fits one of `keys`, by their component groups."""
    keys = [key for key in keys if key]  # a key without any component group is not a name

    def named(attributes: Mapping[int, Any]) -> bool:
        for value in attributes.get(tag) or ():
            groups = fold_name(text_of(value)).split("=") if value else []
            if any(agree(key, groups, test) for key in keys):
                return True
        return False

    return named


def _fits(pattern: re.Pattern[str] | None, group: str) -> bool:
    return pattern is not None and pattern.match(group) is not None


def _like(tag: int, vr: str, patterns: tuple[str, ...]) -> Predicate:
    if any(pattern and not pattern.strip("*=" if vr == "PN" else "*") for pattern in patterns):
        return lambda attributes: True
    if vr == "PN":
        groups = [[_pattern(group) if group else None for group in key_groups(pattern)] for pattern in patterns]
        return _named(tag, groups, _fits)
    tests = [_pattern(pattern).match for pattern in patterns]

    def like(attributes: Mapping[int, Any]) -> bool:
        for value in attributes.get(tag) or ():
            if value is None or value == "":
                continue
            text = text_of(value)
            if any(test(text) for test in tests):
                return True
        return False

    return like


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    """A wildcard pattern as a regular expression with bounded backtracking: the text between two asterisks matches at
    its first position (atomic), since a later one would leave the rest no more room."""
    head, *rest = [re.escape(piece).replace(r"\?", ".") for piece in re.sub(r"\*+", "*", pattern).split("*")]
    if not rest:
        return re.compile(head + r"\Z", re.DOTALL)
    middle = "".join([f"(?>.*?{piece})" for piece in rest[:-1]])
    return re.compile(f"{head}{middle}.*{rest[-1]}\\Z", re.DOTALL)


def _in_range(tag: int, vr: str, wanted: Range) -> Predicate:
    first = dates.normal(vr, wanted.first) if wanted.first else ""
    last = dates.normal(vr, wanted.last, "9") if wanted.last else "~"
    if first is None or last is None:
        return lambda attributes: False  # an end that is not a date: no value is in such a range
    if wanted.time_tag is not None:
        return _in_moments(tag, wanted, first, last)

    def within(attributes: Mapping[int, Any]) -> bool:
        for value in attributes.get(tag) or ():
            moment = dates.normal(vr, text_of(value))
            if moment is not None and first <= moment <= last:
                return True
        return False

    return within


def _in_moments(tag: int, wanted: Range, first: str, last: str) -> Predicate:
    """Combined date-time matching: a stored date without a time is any moment of its day."""
    time_tag = wanted.time_tag or 0
    begin = first + ((dates.time(wanted.first_time) or "") if wanted.first_time else "")
    end = last + ((dates.time(wanted.last_time, "9") or "~") if wanted.last_time else "~")

    def within(attributes: Mapping[int, Any]) -> bool:
        days = [dates.date(text_of(value)) for value in attributes.get(tag) or ()]
        times = [dates.time(text_of(value)) for value in attributes.get(time_tag) or ()]
        if not days or days[0] is None:
            return False
        if not times or times[0] is None:
            return first <= days[0] <= last
        return begin <= days[0] + times[0] <= end

    return within
