"""Finds the differences between the answers of two archives to one request. Pure.

Differences name kinds, statuses and attributes, never values: they go into log lines, metrics and the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from gantry.common.dicom.model.json_writing import Attributes
from gantry.common.dicom.standard.dictionary import keyword_of_tag
from gantry.common.dimse import Command, Element
from gantry.common.ids import is_uid
from gantry.common.statuses import status_words
from gantry.common.ul import AcceptedContext, AssociateRequest
from gantry.services.frontdoor.shadow.answers import Normal, level_of, normal, unique_key

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work in steps of about 0.1 ms each, so that the caller can let other tasks run between them."""
_STUDY = "0020000D"
MOST_NAMED = 16
"""Attributes and UIDs that a difference names."""


class DifferenceKind(StrEnum):
    """Kinds of differences."""

    REJECTED = "rejected"
    """One of them rejects the association that the other accepts."""
    CONTEXTS = "contexts"
    """They accept different presentation contexts."""
    SYNTAXES = "transfer_syntaxes"
    """They accept the same contexts with different transfer syntaxes."""
    STATUS = "status"
    ONLY_GANTRY = "only_gantry"
    """Only Gantry returns the match."""
    ONLY_OTHER = "only_other"
    ATTRIBUTES = "attributes"
    """Both return the match, with different values."""
    REPEATED = "repeated"
    """One of them returns a match more often than the other."""
    SUB_OPERATIONS = "sub_operations"
    """Different numbers of sub-operations failed, or ended with a warning."""
    FAILURES = "failures"
    """The same instances failed, for different reasons."""
    CONTENT = "content"
    """The bytes of an object differ."""


@dataclass(frozen=True, slots=True)
class AnswerDifference:
    """Differences of one kind: `count` matches, `uids` with unique keys of some of them, and `words` for people."""

    kind: DifferenceKind
    count: int = 1
    words: str = ""
    uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FindAnswer:
    """The answer of one archive to a query: its final status, and its matches, which are decoded on iteration."""

    status: int
    matches: Iterable[Attributes] = field(default_factory=tuple)


def compare_associations(
    request: AssociateRequest, gantry: Mapping[int, AcceptedContext], other: Mapping[int, AcceptedContext]
) -> list[AnswerDifference]:
    """Compare the accepted contexts of a request, both by the ids of the request."""
    differences: list[AnswerDifference] = []
    for kind, ids in (
        (DifferenceKind.CONTEXTS, gantry.keys() ^ other.keys()),
        (
            DifferenceKind.SYNTAXES,
            {
                number
                for number in gantry.keys() & other.keys()
                if gantry[number].transfer_syntax != other[number].transfer_syntax
            },
        ),
    ):
        if ids:
            names = sorted({context.abstract_syntax for context in request.contexts if context.id in ids})
            differences.append(AnswerDifference(kind, len(ids), ", ".join(named_uids(names))))
    return differences


def compare_statuses(gantry: int, other: int) -> list[AnswerDifference]:
    """Compare two final statuses."""
    if gantry == other:
        return []
    return [AnswerDifference(DifferenceKind.STATUS, 1, f"Gantry {status_words(gantry)}, other {status_words(other)}")]


def compare_matches(
    question: Attributes, gantry: FindAnswer, other: FindAnswer, may_differ: Collection[str]
) -> Steps[list[AnswerDifference]]:
    """Compare two answers to a C-FIND or a search. Only the requested attributes are compared, without the tags in
    `may_differ`; other attributes in an answer are ignored. Raises `NotUnderstood`."""
    tags = question.keys() - may_differ
    sets = yield from compare_sets(unique_key(level_of(question)), tags, gantry.matches, other.matches)
    return [*compare_statuses(gantry.status, other.status), *sets]


def compare_sets(
    key: str | tuple[str, ...], attributes: Collection[str], gantry: Iterable[Attributes], other: Iterable[Attributes]
) -> Steps[list[AnswerDifference]]:
    """Compare two sets of matches, identified by one or several attributes in `key`, by the requested attributes."""
    mine = yield from _by_key(key, attributes, gantry)
    theirs = yield from _by_key(key, attributes, other)
    differences: list[AnswerDifference] = []
    for kind, ours, others in ((DifferenceKind.ONLY_GANTRY, mine, theirs), (DifferenceKind.ONLY_OTHER, theirs, mine)):
        lacking = [name for name in ours if name not in others]
        if lacking:
            differences.append(AnswerDifference(kind, len(lacking), "", _uids(key, lacking)))
    yield
    both = [name for name in mine if name in theirs]
    differing: dict[Hashable, list[str]] = {}
    for name in both:
        if tags := _differing(attributes, mine[name][0], theirs[name][0]):
            differing[name] = tags
        yield
    if differing:
        names = Counter(tag for tags in differing.values() for tag in tags)
        words = ", ".join(name_of_tag(tag) for tag, _ in names.most_common(MOST_NAMED))
        differences.append(
            AnswerDifference(DifferenceKind.ATTRIBUTES, len(differing), words, _uids(key, list(differing)))
        )
    repeated = [name for name in both if len(mine[name]) != len(theirs[name])]
    if repeated:
        differences.append(AnswerDifference(DifferenceKind.REPEATED, len(repeated), "", _uids(key, repeated)))
    return differences


def name_of_tag(tag: str) -> str:
    """The keyword of an attribute, or its tag if it has none."""
    return keyword_of_tag(int(tag, 16)) or tag


def _by_key(
    key: str | tuple[str, ...], tags: Collection[str], matches: Iterable[Attributes]
) -> Steps[dict[Hashable, list[Normal]]]:
    """Matches by their unique key; without one, by all requested attributes."""
    keys = (key,) if isinstance(key, str) else key
    groups: dict[Hashable, list[Normal]] = {}
    for match in matches:
        values = normal({tag: attribute for tag, attribute in match.items() if tag in tags or tag in keys})
        name: Hashable = tuple(sorted(values.items(), key=lambda pair: pair[0]))
        if any(keys):
            parts = [values.get(tag, ()) for tag in keys]
            name = parts[0] if isinstance(key, str) else tuple(parts)
        groups.setdefault(name, []).append(values)
        yield
    return groups


def _differing(tags: Collection[str], mine: Normal, theirs: Normal) -> list[str]:
    return sorted(tag for tag in tags if mine.get(tag) != theirs.get(tag))


def _uids(key: str | tuple[str, ...], names: Sequence[Hashable]) -> tuple[str, ...]:
    """Some of the unique keys if they are UIDs: Patient IDs and Accession Numbers are never reported."""
    if not isinstance(key, str):
        place = key.index(_STUDY) if _STUDY in key else -1
        return _uids(_STUDY, [name[place] for name in names if isinstance(name, tuple)]) if place >= 0 else ()
    if key in ("", "00100020"):
        return ()
    return named_uids([str(name[0]) for name in names if isinstance(name, tuple) and name])


def compare_objects(
    mine: Mapping[str, tuple[str, bytes]], theirs: Mapping[str, tuple[str, bytes]]
) -> list[AnswerDifference]:
    """Compare two sets of objects by SOP Instance UID: their transfer syntaxes, and if these are equal, the digests of
    the data sets."""
    both = mine.keys() & theirs.keys()
    recoded = {uid for uid in both if mine[uid][0] != theirs[uid][0]}
    differences = []
    for kind, uids in (
        (DifferenceKind.ONLY_GANTRY, mine.keys() - theirs.keys()),
        (DifferenceKind.ONLY_OTHER, theirs.keys() - mine.keys()),
        (DifferenceKind.SYNTAXES, recoded),
        (DifferenceKind.CONTENT, {uid for uid in both - recoded if mine[uid] != theirs[uid]}),
    ):
        if uids:
            differences.append(AnswerDifference(kind, len(uids), "", named_uids(sorted(uids))))
    return differences


def compare_sub_operations(gantry: Command, other: Command) -> list[AnswerDifference]:
    """Compare the final responses of two C-GETs (PS3.4 C.4.3.1.7)."""
    failed = [
        (command.number(Element.FAILED_SUB_OPERATIONS), command.number(Element.WARNING_SUB_OPERATIONS))
        for command in (gantry, other)
    ]
    differences = compare_statuses(gantry.status, other.status)
    if failed[0] != failed[1]:
        (mine, warned), (theirs, warned_too) = failed
        words = f"Gantry {mine} failed, {warned} with a warning; other {theirs} failed, {warned_too} with a warning"
        differences.append(AnswerDifference(DifferenceKind.SUB_OPERATIONS, 1, words))
    return differences


def named_uids(names: Sequence[str]) -> tuple[str, ...]:
    """Some of these UIDs; texts that are not valid UIDs are left out, since another archive may answer anything."""
    return tuple(name for name in names if is_uid(name))[:MOST_NAMED]
