"""How OpenSearch narrows: terms of a document, and the clause that finds everything that a condition may match (pure).

A clause may find more than match, never fewer: `gantry.common.dicom.query.matching` decides. Terms and clauses are in
one file because they must agree. An attribute that does not fit into terms of bounded length is named under `wide`, and
every clause finds documents named there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query import dates
from gantry.common.dicom.query.attributes import Attribute, AttributeTable, Level
from gantry.common.dicom.query.matching import (
    Condition,
    Empty,
    Fuzzy,
    Item,
    MultipleValues,
    Range,
    Single,
    UidList,
    Wildcard,
)
from gantry.common.dicom.query.person_names import fold_name, key_groups, sounds_of, words_of
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.dicom.standard.vrs import vr_of

LONGEST = 256
"""Characters of a term."""
MOST_TERMS = 512
"""Most terms of one attribute of one document; with more it is wide."""
SOUNDS = "sounds"
MOST_PATTERNS = 20
"""Most patterns of one key; more are left to the matcher."""

_NUMBERS = frozenset(("DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"))
_MOMENTS = frozenset(("DA", "TM", "DT"))
_TEXTS = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_UNUSUAL = re.compile(r"[\x00-\x1f\\\ud800-\udfff]")
KEYS = frozenset((STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID))
"""Not among the terms: documents have fields of their own for them."""

Clause = dict[str, Any]
NOTHING: Clause = {"match_none": {}}


def field_type(attribute: Attribute) -> str:
    """`wildcard` is fast for patterns that begin with an asterisk; there are too many instances to afford it there."""
    return "wildcard" if attribute.vr in _TEXTS and attribute.level is not Level.IMAGE else "keyword"


def searchable(level: Level, table: AttributeTable) -> list[Attribute]:
    """The attributes of a level that documents have terms for."""
    return [attribute for attribute in table.of(level) if attribute.tag not in KEYS]


def terms_of(attributes: Mapping[int, Any], level: Level, table: AttributeTable) -> dict[str, list[str]]:
    """The terms of a document's attributes of one level by keyword; under "wide" the keywords of wide attributes, under
    "sounds" the phonetic codes of the words of its names."""
    terms: dict[str, list[str]] = {}
    wide: list[str] = []
    sounds: set[str] = set()
    for attribute in searchable(level, table):
        values = attributes.get(attribute.tag)
        if not values:
            continue
        all_terms = {term for value in values for term in _terms(attribute.vr, value)}
        usual = sorted(term for term in all_terms if _is_usual(term))[:MOST_TERMS]
        if usual:
            terms[attribute.keyword] = usual
        if len(usual) < len(all_terms) or _is_strange(attribute.vr, values):
            wide.append(attribute.keyword)
        if attribute.vr == "PN" and level is not Level.IMAGE:
            sounds |= {
                f"{attribute.keyword}:{sound}" for name in usual for w in words_of(name) for sound in sounds_of(w)
            }
    return {**terms, **({SOUNDS: sorted(sounds)} if sounds else {}), **({"wide": wide} if wide else {})}


def clause_of(tag: int, condition: Condition, place: str, table: AttributeTable) -> Clause | None:
    """The clause of a condition on an attribute whose terms are in `place`; None where it narrows nothing."""
    attribute = table.by_tag.get(tag)
    if attribute is None:
        return NOTHING  # an attribute that no document has never matches
    clause = _narrowed(f"{place}.{attribute.keyword}", attribute, condition, place)
    if clause is None or clause is NOTHING or isinstance(condition, Empty):
        return clause
    return any_of([clause, {"term": {f"{place}.wide": attribute.keyword}}])


def decides(attribute: Attribute, condition: Condition) -> bool:
    """Whether the clause of a condition finds exactly the matches, apart from wide attributes."""
    vr = attribute.vr
    if isinstance(condition, MultipleValues):
        return all(decides(attribute, part) for part in condition.conditions)
    if isinstance(condition, Range):
        return vr in _MOMENTS and condition.time_tag is None
    if isinstance(condition, Empty):
        return vr != "SQ"
    if isinstance(condition, Fuzzy | Item):
        return False
    if isinstance(condition, UidList):
        return True
    wildcard = isinstance(condition, Wildcard)
    values = condition.patterns if isinstance(condition, Wildcard) else condition.values
    if wildcard and ((vr not in _TEXTS and vr not in ("AE", "CS", "UR")) or any(map(_UNUSUAL.search, values))):
        return False
    return all(value for value in values) and (vr != "PN" or all(len(key_groups(value)) == 1 for value in values))


def _narrowed(field: str, attribute: Attribute, condition: Condition, place: str) -> Clause | None:
    if isinstance(condition, Range):
        return _range(field, attribute.vr, condition)
    if isinstance(condition, Wildcard):
        return _wildcards(field, attribute, condition.patterns)
    if isinstance(condition, Empty):
        # A wide attribute may have no term; the matcher decides.
        return {"bool": {"must_not": [{"exists": {"field": field}}]}}
    if isinstance(condition, Fuzzy):
        return _fuzzy_clause(field, attribute, condition.names, place)
    if isinstance(condition, MultipleValues):
        return _all_of([_narrowed(field, attribute, part, place) for part in condition.conditions])
    if isinstance(condition, Item):
        return _all_of(list(_in_item(field, condition, "")))
    values = condition.uids if isinstance(condition, UidList) else condition.values
    wanted = [_term_of(attribute.vr, value) for value in values]
    return _terms_clause(_exact(field, attribute), set(wanted)) if _all_ask(attribute.vr, wanted) else None


def _all_of(clauses: Sequence[Clause | None]) -> Clause | None:
    """A clause that finds what all of these find; those that narrow nothing are left out."""
    filters = [clause for clause in clauses if clause is not None]
    return None if not filters else filters[0] if len(filters) == 1 else {"bool": {"filter": filters}}


def any_of(clauses: list[Clause]) -> Clause:
    """A clause that finds what any of them finds."""
    return clauses[0] if len(clauses) == 1 else {"bool": {"should": clauses, "minimum_should_match": 1}}


def _is_strange(vr: str, values: Iterable[Any]) -> bool:
    """Whether there are invalid dates or times: their terms lie among valid ones."""
    return vr in _MOMENTS and any(dates.normal(vr, text_of(value)) is None for value in values if value)


def _is_usual(term: str) -> bool:
    return 0 < len(term) <= LONGEST and _UNUSUAL.search(term) is None


def _terms(vr: str, value: Any) -> Iterable[str]:
    """The terms of one stored value."""
    if value is None or value == "":
        return ()
    if vr == "PN":
        folded = fold_name(text_of(value))
        # Group by group: a pattern of one does not reach into the next.
        return [group for group in folded.split("=") if group] if "=" in folded else (folded,)
    if vr == "SQ":
        return _item_terms(value, "") if isinstance(value, dict) else ()
    return (_normal(vr, value),)


def _item_terms(item: Mapping[int, Any], path: str) -> Iterator[str]:
    """The terms of the content of an item, each prefixed by the tags that lead to it."""
    for tag, values in item.items():
        vr, below = vr_of(tag).decode("ascii"), f"{path}{tag:08X}"
        for value in values:
            if vr == "SQ":
                yield from _item_terms(value, f"{below}/")
            else:
                yield from (f"{below}:{term}" for term in _terms(vr, value))


def _term_of(vr: str, value: str) -> str:
    """The term that a document has which matches a key; for a name that of the first component group requested, "" if
    there is none."""
    return next(filter(None, key_groups(value)), "") if vr == "PN" else _normal(vr, value)


def _all_ask(vr: str, wanted: Iterable[str]) -> bool:
    """Whether none of these keys is one that every name matches."""
    return vr != "PN" or all(wanted)


def _normal(vr: str, value: Any) -> str:
    """Equal values have equal terms: numbers and times by their meaning, others as text."""
    if vr in _MOMENTS:
        return dates.normal(vr, text_of(value)) or text_of(value)
    if vr in _NUMBERS:
        try:
            number = float(value)
        except (ValueError, TypeError, OverflowError):
            return text_of(value)
        return repr(number + 0.0) if math.isfinite(number) else text_of(value)
    return text_of(value)


def _in_item(field: str, wanted: Item, path: str) -> Iterator[Clause | None]:
    """Each condition holds for some item; the matcher checks that it is the same one."""
    for tag, condition in wanted.conditions.items():
        vr, below = vr_of(tag).decode("ascii"), f"{path}{tag:08X}"
        if isinstance(condition, Item):
            yield from _in_item(field, condition, f"{below}/")
        elif isinstance(condition, Wildcard):
            yield _wildcards(
                field, Attribute(tag, "", vr, Level.IMAGE, computed=False), condition.patterns, f"{below}:"
            )
        elif isinstance(condition, Range):
            yield _range(field, vr, condition, f"{below}:")
        elif isinstance(condition, Single | UidList):
            values = condition.uids if isinstance(condition, UidList) else condition.values
            terms = [_term_of(vr, value) for value in values]
            yield _terms_clause(field, {f"{below}:{term}" for term in terms}) if _all_ask(vr, terms) else None


def _fuzzy_clause(field: str, attribute: Attribute, names: tuple[str, ...], place: str) -> Clause | None:
    """A word begins some word of the name, or sounds like one."""
    if len(names) > MOST_PATTERNS:
        return None
    return any_of(
        [
            _all_of([_word(field, attribute, word, place) for word in words_of(name)]) or {"match_all": {}}
            for name in names
        ]
    )


def _word(field: str, attribute: Attribute, word: str, place: str) -> Clause:
    clauses: list[Clause] = [{"wildcard": {field: {"value": f"*{_UNUSUAL.sub('?', word)}*"}}}]
    if sounds := sounds_of(word):
        clauses.append({"terms": {f"{place}.{SOUNDS}": sorted(f"{attribute.keyword}:{sound}" for sound in sounds)}})
    return any_of(clauses)


def _terms_clause(field: str, wanted: set[str]) -> Clause:
    return {"terms": {field: sorted(term for term in wanted if _is_usual(term))}}


def _exact(field: str, attribute: Attribute) -> str:
    """The field for whole terms: a list of them is slow in a field of fragments."""
    return f"{field}.exact" if field_type(attribute) == "wildcard" else field


def _wildcards(field: str, attribute: Attribute, patterns: tuple[str, ...], path: str = "") -> Clause | None:
    """PS3.4 C.2.2.2.4. The terms of numbers and times are not their text. `path` is the prefix of terms."""
    vr = attribute.vr
    if vr in _NUMBERS or vr in _MOMENTS or len(patterns) > MOST_PATTERNS:
        return None
    if any(pattern and not pattern.strip("*") for pattern in patterns):
        return None
    if vr == "PN":
        patterns = tuple(_term_of(vr, pattern) for pattern in patterns)
        if not _all_ask(vr, patterns):
            return None
    folded = [re.sub(r"\*+", "*", pattern) for pattern in patterns]
    # Characters that OpenSearch might interpret are replaced by "any character"; the matcher decides.
    usual = [path + _UNUSUAL.sub("?", pattern) for pattern in folded if pattern]
    exact = _exact(field, attribute)
    clauses = [{"wildcard": {field if p[0] in "*?" else exact: {"value": p}}} for p in usual]
    return any_of(clauses) if clauses else _terms_clause(exact, set())


def _range(field: str, vr: str, wanted: Range, path: str = "") -> Clause | None:
    """PS3.4 C.2.2.2.5. The time of a combined range narrows nothing: its days do."""
    if vr not in _MOMENTS:
        return None
    first = dates.normal(vr, wanted.first) if wanted.first else ""
    last = dates.normal(vr, wanted.last, "9") if wanted.last else "~"
    if first is None or last is None:
        return NOTHING
    return {"range": {field: {"gte": path + first, "lte": path + last}}}
