"""The queries to other archives, what is accepted of their answers, and how these become one list (pure).

Series and instances are queried level by level (PS3.4 C.4.1.2.1): every archive supports hierarchical search, with keys
of the level itself and the unique keys of the levels above only.

Archives ignore keys, match loosely and send invalid values. Their answers are matched again by our own matcher (PS3.4
C.2.2.2), and values that are not valid for their VR (PS3.5 6.2) are left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query import dates
from gantry.common.dicom.query.attributes import STANDARD, UNIQUE_KEYS, Level
from gantry.common.dicom.query.matching import (
    Condition,
    Document,
    Item,
    Predicate,
    Query,
    Range,
    Single,
    UidList,
    Wildcard,
    matcher,
)
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    INSTANCE_AVAILABILITY,
    INSTANCE_NUMBER,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    QUERY_RETRIEVE_LEVEL,
    RETRIEVE_AE_TITLE,
    SERIES_INSTANCE_UID,
    SERIES_NUMBER,
    SOP_INSTANCE_UID,
    STUDY_DATE,
    STUDY_ID,
    STUDY_INSTANCE_UID,
    STUDY_TIME,
)
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.ids import is_uid

MOST_UIDS = 500
"""Most UIDs in one key: longer lists do not fit into a UI in every archive."""
MOST_NAMED = 16
"""Most studies whose series or instances are requested by one query."""
MOST_VALUES = 64
LEVELS = (Level.STUDY, Level.SERIES, Level.IMAGE)
"""The levels of the Study Root, from the root down; there, the patient's attributes belong to the study level."""
ALWAYS_MATCHED = {
    Level.STUDY: frozenset(
        (STUDY_DATE, STUDY_TIME, ACCESSION_NUMBER, PATIENT_NAME, PATIENT_ID, STUDY_ID, STUDY_INSTANCE_UID)
    ),
    Level.SERIES: frozenset((MODALITY, SERIES_NUMBER, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)),
    Level.IMAGE: frozenset((INSTANCE_NUMBER, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID)),
}
"""PS3.4 tables C.6-1 to C.6-5: keys that every archive has to match and to return."""
NEARLINE = "NEARLINE"

Values = Mapping[int, Sequence[Any]]
Unit = tuple[str, ...]
"""The key of an answer: Study Instance UID and, below that level, Series and SOP Instance UID."""
_UNIQUE = (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID)


def _tags_of(*levels: Level) -> frozenset[int]:
    return frozenset(a.tag for level in levels for a in STANDARD.of(level) if vr_of(a.tag) != b"SQ")


_ASKED = {
    Level.STUDY: _tags_of(Level.PATIENT, Level.STUDY),
    Level.SERIES: _tags_of(Level.SERIES),
    Level.IMAGE: _tags_of(Level.IMAGE),
}
_MOMENTS = frozenset((b"DA", b"TM", b"DT"))


@dataclass(frozen=True, slots=True)
class Question:
    """The keys of a C-FIND at one level, and the tests that an answer has to pass."""

    level: Level
    keys: Mapping[int, list[str]]
    tests: Mapping[int, Predicate]
    strict: frozenset[int]
    """Attributes that must be in an answer: every archive returns them, or the archive was not asked to match them."""

    def fits(self, answer: Values) -> bool:
        """Whether an answer matches, as far as it has values."""
        return all(test(answer) for tag, test in self.tests.items() if tag in answer or tag in self.strict)

    def under(self, above: Values) -> Question:
        """The same question within one study, or one series of it: `above` has its unique keys."""
        uids = {tag: str(above[tag][0]) for tag in _UNIQUE[: LEVELS.index(self.level)]}
        only = {tag: matcher(Query("", self.level, {tag: Single((uid,))})) for tag, uid in uids.items()}
        keys = {**self.keys, **{tag: [uid] for tag, uid in uids.items()}}
        return Question(self.level, keys, {**self.tests, **only}, self.strict)


def named_studies(query: Query) -> tuple[str, ...]:
    """The studies that a query of level SERIES or IMAGE names; empty if they are more than may be requested."""
    condition = query.conditions.get(STUDY_INSTANCE_UID)
    if isinstance(condition, UidList):
        named = condition.uids
    else:
        named = condition.values if isinstance(condition, Single) else ()
    return named if len(named) <= MOST_NAMED else ()


def questions_of(query: Query, tags: Collection[int]) -> tuple[Question, ...] | None:
    """What to ask, level by level, for a query of level STUDY or below, with `tags` to return: each question but the
    first is asked `under` an answer to the one before. None if other archives cannot be asked: for items of a sequence,
    attributes that they do not know, or more UIDs than fit."""
    levels = LEVELS[: LEVELS.index(query.level) + 1]
    for tag, condition in query.conditions.items():
        uids = condition.uids if isinstance(condition, UidList) else ()
        if isinstance(condition, Item) or len(uids) > MOST_UIDS or not any(tag in _ASKED[level] for level in levels):
            return None
    return tuple(_question(level, query, tags) for level in levels)


def _question(level: Level, query: Query, tags: Collection[int]) -> Question:
    """The part of a query that belongs to one level."""
    unique = (PATIENT_ID, STUDY_INSTANCE_UID) if level is Level.STUDY else (UNIQUE_KEYS[level],)
    keys: dict[int, list[str]] = {tag: [] for tag in (*tags, *unique) if tag in _ASKED[level]}
    conditions = {tag: condition for tag, condition in query.conditions.items() if tag in _ASKED[level]}
    strict = set(ALWAYS_MATCHED[level])
    for tag, condition in conditions.items():
        keys[tag] = _key(tag, condition, query.zone)
        if not keys[tag] or (isinstance(condition, Range) and condition.time_tag is not None):
            strict.add(tag)
        if isinstance(condition, Range) and condition.time_tag is not None:
            keys.setdefault(condition.time_tag, [])
    # Keys above its level are not tested here: the question before tested them.
    tests = {
        tag: matcher(replace(query, level=level, conditions={tag: condition})) for tag, condition in conditions.items()
    }
    return Question(level, {QUERY_RETRIEVE_LEVEL: [level.value], **keys}, tests, frozenset(strict))


def _key(tag: int, condition: Condition, zone: str) -> list[str]:
    """The values of a key for basic matching (PS3.4 C.2.2.2); empty if it has no such form: then everything that may
    match is requested."""
    if zone and vr_of(tag) in _MOMENTS:
        return []
    if isinstance(condition, UidList):
        return list(condition.uids)
    if isinstance(condition, Range):
        return [f"{condition.first or ''}-{condition.last or ''}"]
    if isinstance(condition, Single) and len(condition.values) == 1:
        return list(condition.values)
    if isinstance(condition, Wildcard) and len(condition.patterns) == 1:
        return list(condition.patterns)
    return []


def cleaned(answer: Mapping[int, Sequence[str]], level: Level = Level.STUDY) -> dict[int, list[Any]] | None:
    """The values of an answer in the DICOM JSON model; an attribute with a value that is not valid for its VR is empty.
    None if the answer does not name one study and, below it, its `level`."""
    uids = answer.get(UNIQUE_KEYS[level]) or ()
    if len(uids) != 1 or not is_uid(uids[0]):
        return None
    taken = _ASKED[level].union(_UNIQUE[: LEVELS.index(level)])
    attributes: dict[int, list[Any]] = {}
    for tag, values in answer.items():
        if tag in taken:
            made = [_value(vr_of(tag), value) for value in values] if len(values) <= MOST_VALUES else []
            attributes[tag] = [] if any(value is None for value in made) else made
    return attributes


_LENGTHS = {b"LO": 64, b"SH": 16, b"ST": 1024, b"LT": 10240, b"UC": 1024, b"UT": 10240}
_FORMS = {
    b"CS": re.compile(r"[A-Z0-9 _]{1,16}"),
    b"AS": re.compile(r"\d{3}[DWMY]", re.ASCII),
    b"DA": re.compile(r"\d{8}", re.ASCII),
    b"TM": re.compile(r"[\d.]{2,13}", re.ASCII),
    b"DT": re.compile(r"[\d.+-]{4,26}", re.ASCII),
    b"IS": re.compile(r"[+-]?\d{1,11}", re.ASCII),
    b"DS": re.compile(r"[\d.+\-eE]{1,16}", re.ASCII),
}
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_NOT_IN_TEXT = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff\ufffd\\\\]")
_NOT_IN_PAGES = re.compile("[\0-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")


def _value(vr: bytes, value: str) -> Any:
    """The value in the JSON model; None if it is not valid for this VR."""
    form = _FORMS.get(vr)
    if form is not None:
        if form.fullmatch(value) is None:
            return None
        if vr in _MOMENTS:
            return value if dates.normal(vr.decode("ascii"), value) is not None else None
        return _number(vr, value) if vr in (b"IS", b"DS") else value
    if vr == b"UI":
        return value if is_uid(value) else None
    if vr == b"PN":
        return _name(value)
    pages = vr in (b"ST", b"LT", b"UT")
    if len(value) > _LENGTHS.get(vr, 0) or (_NOT_IN_PAGES if pages else _NOT_IN_TEXT).search(value):
        return None
    return value


def _number(vr: bytes, value: str) -> int | float | None:
    if vr == b"IS":
        number = int(value)
        return number if -(1 << 31) <= number < 1 << 31 else None
    try:
        real = float(value)
    except ValueError:
        return None
    return real if math.isfinite(real) and len(text_of(real)) <= 16 else None


def _name(value: str) -> dict[str, str] | None:
    groups = value.split("=", len(_GROUPS))
    if len(groups) > len(_GROUPS) or _NOT_IN_TEXT.search(value) or any(len(group) > 64 for group in groups):
        return None
    return {name: group for name, group in zip(_GROUPS, groups, strict=False) if group}


def unit_of(values: Values) -> Unit:
    """The unit that an answer, or a document of ours, describes."""
    return tuple(str(values[tag][0]) for tag in _UNIQUE if values.get(tag))


@dataclass(frozen=True, slots=True)
class Foreign:
    """What other archives have at one level: for each unit one answer, and the AE titles of all that have it."""

    level: Level = Level.STUDY
    answers: Mapping[Unit, Values] = field(default_factory=dict)
    holders: Mapping[Unit, tuple[str, ...]] = field(default_factory=dict)

    @property
    def studies(self) -> list[str]:
        """The studies with answers, in the order of their UIDs."""
        return sorted({unit[0] for unit in self.answers})

    def joined(self, documents: Iterable[Document], ae_title: str) -> list[Document]:
        """Documents of ours, with the AE titles of all that have them: `ae_title`, ours, first."""
        return [
            replace(
                document,
                attributes={
                    **document.attributes,
                    RETRIEVE_AE_TITLE: [ae_title, *self.holders.get(unit_of(document.attributes), ())],
                },
            )
            for document in documents
        ]

    def elsewhere(self, studies: Collection[str]) -> list[Document]:
        """The answers about other studies than `studies`, in the order of the UIDs."""
        return [
            Document(
                self.level,
                {
                    **self.answers[unit],
                    RETRIEVE_AE_TITLE: list(self.holders[unit]),
                    INSTANCE_AVAILABILITY: [NEARLINE],
                },
            )
            for unit in sorted(self.answers)
            if unit[0] not in studies
        ]


def merged(answers: Iterable[tuple[str, Values]], level: Level = Level.STUDY) -> Foreign:
    """All answers, each with the AE title of its archive. Neither their order nor repetition changes the result: for
    each unit the answer of the first AE title, by alphabet, is used."""
    best: dict[Unit, tuple[str, str, Values]] = {}
    holders: dict[Unit, set[str]] = {}
    for title, values in answers:
        unit = unit_of(values)
        holders.setdefault(unit, set()).add(title)
        rank = (title, repr(sorted(values.items())))
        if unit not in best or rank < best[unit][:2]:
            best[unit] = (*rank, values)
    return Foreign(
        *(level, {unit: choice[2] for unit, choice in best.items()}),
        {unit: tuple(sorted(t)) for unit, t in holders.items()},
    )
