"""What other archives are asked, what is taken of their answers, and how these become one list of studies (pure).

Archives ignore keys, match loosely and send values that are none. What they answer is matched again by our own matcher
(PS3.4 C.2.2.2), and values that are not valid for their VR (PS3.5 6.2) are left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query import dates
from gantry.common.dicom.query.attributes import STANDARD, Level
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
    PATIENT_ID,
    PATIENT_NAME,
    QUERY_RETRIEVE_LEVEL,
    RETRIEVE_AE_TITLE,
    STUDY_DATE,
    STUDY_ID,
    STUDY_INSTANCE_UID,
    STUDY_TIME,
)
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.ids import is_uid

MOST_UIDS = 500
"""Study Instance UIDs in one question: more do not fit the length of a UI in every archive."""
MOST_VALUES = 64
ALWAYS_MATCHED = frozenset(
    (STUDY_DATE, STUDY_TIME, ACCESSION_NUMBER, PATIENT_NAME, PATIENT_ID, STUDY_ID, STUDY_INSTANCE_UID)
)
"""PS3.4 tables C.6-1, C.6-2 and C.6-5: keys that every archive has to match and to return."""
NEARLINE = "NEARLINE"

Values = Mapping[int, Sequence[Any]]
_ASKED = frozenset(
    tag for level in (Level.PATIENT, Level.STUDY) for tag in (a.tag for a in STANDARD.of(level)) if vr_of(tag) != b"SQ"
)
_MOMENTS = frozenset((b"DA", b"TM", b"DT"))


@dataclass(frozen=True, slots=True)
class Question:
    """The keys of a C-FIND at STUDY level, and what an answer to it is tested by."""

    keys: Mapping[int, list[str]]
    tests: Mapping[int, Predicate]
    strict: frozenset[int]
    """Attributes that must be in an answer: every archive returns them, or the archive was not asked to match them."""

    def fits(self, answer: Values) -> bool:
        """Whether an answer is one of ours, as far as it says."""
        return all(test(answer) for tag, test in self.tests.items() if tag in answer or tag in self.strict)


def question_of(query: Query, tags: Collection[int]) -> Question | None:
    """What to ask for a query of level STUDY, with `tags` to return; None if other archives cannot be asked that: items
    of a sequence, or more UIDs than fit."""
    keys: dict[int, list[str]] = {tag: [] for tag in (*tags, PATIENT_ID, STUDY_INSTANCE_UID) if tag in _ASKED}
    strict = set(ALWAYS_MATCHED)
    for tag, condition in query.conditions.items():
        uids = condition.uids if isinstance(condition, UidList) else ()
        if isinstance(condition, Item) or tag not in _ASKED or len(uids) > MOST_UIDS:
            return None
        keys[tag] = _key(tag, condition, query.zone)
        if not keys[tag] or (isinstance(condition, Range) and condition.time_tag is not None):
            strict.add(tag)
        if isinstance(condition, Range) and condition.time_tag is not None:
            keys.setdefault(condition.time_tag, [])
    tests = {tag: matcher(replace(query, conditions={tag: one})) for tag, one in query.conditions.items()}
    return Question({QUERY_RETRIEVE_LEVEL: [Level.STUDY.value], **keys}, tests, frozenset(strict))


def _key(tag: int, condition: Condition, zone: str) -> list[str]:
    """The values of a key as basic matching has them (PS3.4 C.2.2.2); none where it has no such key, and everything
    that may match is asked for."""
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


def cleaned(answer: Mapping[int, Sequence[str]]) -> dict[int, list[Any]] | None:
    """An answer's values in the DICOM JSON model, those that are valid for their VR; an attribute of which one is not
    is empty. None if it does not name one study."""
    uids = answer.get(STUDY_INSTANCE_UID) or ()
    if len(uids) != 1 or not is_uid(uids[0]):
        return None
    found: dict[int, list[Any]] = {}
    for tag, values in answer.items():
        if tag in _ASKED:
            made = [_value(vr_of(tag), value) for value in values] if len(values) <= MOST_VALUES else []
            found[tag] = [] if any(one is None for one in made) else made
    return found


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
    """The value in the JSON model; None if it is not one of this VR."""
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


@dataclass(frozen=True, slots=True)
class Foreign:
    """The studies of other archives: for each Study Instance UID one answer, and the AE titles of all that have it."""

    studies: Mapping[str, Values] = field(default_factory=dict)
    holders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def joined(self, documents: Iterable[Document], ae_title: str) -> list[Document]:
        """Documents of ours, with the AE titles of all that have them: `ae_title`, ours, first."""
        return [
            replace(
                one,
                attributes={
                    **one.attributes,
                    RETRIEVE_AE_TITLE: [ae_title, *self.holders.get(str(one.attributes[STUDY_INSTANCE_UID][0]), ())],
                },
            )
            for one in documents
        ]

    def elsewhere(self, here: Collection[str]) -> list[Document]:
        """The studies that are not `here`, in the order of their UIDs."""
        return [
            Document(
                Level.STUDY,
                {
                    **self.studies[uid],
                    RETRIEVE_AE_TITLE: list(self.holders[uid]),
                    INSTANCE_AVAILABILITY: [NEARLINE],
                },
            )
            for uid in sorted(self.studies)
            if uid not in here
        ]


def merged(answers: Iterable[tuple[str, Values]]) -> Foreign:
    """All answers, each with the AE title of who gave it. Neither their order nor that one comes twice changes what is
    made of them: the answer of the first AE title, by alphabet, stands for a study."""
    best: dict[str, tuple[str, str, Values]] = {}
    holders: dict[str, set[str]] = {}
    for title, values in answers:
        uid = str(values[STUDY_INSTANCE_UID][0])
        holders.setdefault(uid, set()).add(title)
        rank = (title, repr(sorted(values.items())))
        if uid not in best or rank < best[uid][:2]:
            best[uid] = (*rank, values)
    return Foreign({uid: one[2] for uid, one in best.items()}, {uid: tuple(sorted(t)) for uid, t in holders.items()})
