"""Which archives have a study, and how much of it is lacking here (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gantry.common.dicom.query.matching import Query, Single, UidList
from gantry.common.dicom.standard.tags import (
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    QUERY_RETRIEVE_LEVEL,
    STUDY_INSTANCE_UID,
)

MOST_STUDIES = 16
"""Studies that one request fetches."""


@dataclass(frozen=True, slots=True)
class Holder:
    """An archive that has a study. `instances` is how many it reports, 0 if it does not say."""

    ae_title: str
    instances: int = 0


@dataclass(frozen=True, slots=True)
class Lack:
    """How many `instances` could not be fetched, and `why`. 0 means that none is lacking."""

    instances: int = 0
    why: str = ""


NOTHING = Lack()


def keys_for(study: str) -> dict[int, list[str]]:
    """The keys of the C-FIND at STUDY level (PS3.4 C.6.2.1.2)."""
    return {QUERY_RETRIEVE_LEVEL: ["STUDY"], STUDY_INSTANCE_UID: [study], NUMBER_OF_STUDY_RELATED_INSTANCES: []}


def holder_in(ae_title: str, study: str, answers: Iterable[Mapping[int, Sequence[str]]]) -> Holder | None:
    """What an archive's answers say of a study; None if no answer is about it: some archives ignore keys."""
    counts = [
        _number(answer.get(NUMBER_OF_STUDY_RELATED_INSTANCES) or ())
        for answer in answers
        if list(answer.get(STUDY_INSTANCE_UID) or ()) == [study]
    ]
    return Holder(ae_title, max(counts)) if counts else None


def in_order(holders: Iterable[Holder]) -> list[Holder]:
    """The holders in the order in which to ask them: those with the most instances first; ties stay in the order
    given."""
    return sorted(holders, key=lambda holder: -holder.instances)


def lack_of(count: int, total: int, moved: int, whole: bool) -> int:
    """How many instances are lacking: `total` is what the archive says it has, and `moved` the sub-operations of its
    C-MOVE, which may or may not have succeeded. An unknown number counts as at least one."""
    lacking = max(0, max(total, moved) - count)
    if whole or (total and count >= total):
        return lacking
    return max(1, lacking)


def studies_of(query: Query) -> tuple[str, ...]:
    """The studies that a retrieval names; empty if it names none, or more than can be fetched."""
    condition = query.conditions.get(STUDY_INSTANCE_UID)
    if isinstance(condition, UidList):
        return condition.uids if len(condition.uids) <= MOST_STUDIES else ()
    return condition.values if isinstance(condition, Single) and len(condition.values) == 1 else ()


def _number(values: Sequence[str]) -> int:
    text = values[0].strip() if values else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else 0
