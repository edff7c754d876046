"""How long a study is kept (pure): computed from rules and dates each time, never stored, so that a changed rule needs
no migration.

The longest of all rules that match decides. A date that is missing makes nothing shorter: a study without a date is
counted from its receipt, a patient without a birth date as one that was born on that day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from gantry.common.dicom.query import dates
from gantry.common.dicom.query.matching import Query, matcher
from gantry.common.dicom.standard.tags import PATIENT_BIRTH_DATE, STUDY_DATE


class Since(StrEnum):
    """What a period is counted from."""

    STUDY = "study"
    """The Study Date."""
    RECEIPT = "receipt"
    """The latest receipt of an instance of the study."""
    ACCESS = "access"
    """The last access; the latest receipt where there was none."""


@dataclass(frozen=True, slots=True)
class Period:
    """A period of the calendar."""

    years: int = 0
    months: int = 0
    days: int = 0

    def after(self, begin: date) -> date:
        """The day on which the period is over. Where the month has no such day, the first of the next one."""
        months = begin.year * 12 + begin.month - 1 + self.years * 12 + self.months
        try:
            first = date(months // 12, months % 12 + 1, 1)
            day = first + timedelta(days=begin.day - 1)
            if day.month != first.month:
                day = day.replace(day=1)
            return day + timedelta(days=self.days)
        except (ValueError, OverflowError):
            return date.max


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What rules ask about a study: its attributes and its patient's, the day (UTC) of its latest receipt, the AE
    titles that sent it, and the day of its last access where it is known."""

    attributes: Mapping[int, Any]
    received: date
    senders: frozenset[str] = frozenset()
    accessed: date | None = None


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """Studies of `studies` (a query of the study level) that one of `sources` sent (of any where there are none) are
    kept for `period` (None: for ever) from `since` on. With `younger_than`, a number of years, it is about patients
    that were younger then, and the period begins when they are not. `deletes`: what is over may be deleted. Whatever
    the period, nothing of them goes that not each of the archives `committed_by` has committed (PS3.4 J)."""

    name: str
    studies: Query
    period: Period | None
    since: Since = Since.STUDY
    sources: frozenset[str] = frozenset()
    younger_than: int | None = None
    deletes: bool = False
    committed_by: tuple[str, ...] = ()

    def needs_receipts(self, attributes: Mapping[int, Any]) -> bool:
        """Whether receipts decide about a study with these attributes."""
        return bool(self.sources) or self.since is not Since.STUDY or date_in(attributes, STUDY_DATE) is None

    def may_match(self, attributes: Mapping[int, Any]) -> bool:
        """Whether a study with these attributes matches, its senders and its patient's age left aside."""
        return matcher(self.studies)(attributes)

    def matches(self, study: StudyFacts) -> bool:
        """Whether the rule is about a study."""
        if self.sources and not self.sources & study.senders:
            return False
        if not self.may_match(study.attributes):
            return False
        of_age = self._of_age(study)
        return of_age is None or self._begin(study) < of_age

    def until(self, study: StudyFacts) -> date | None:
        """The day on which the retention of a study that matches is over; None: never."""
        if self.period is None:
            return None
        return self.period.after(max(self._begin(study), self._of_age(study) or date.min))

    def _begin(self, study: StudyFacts) -> date:
        match self.since:
            case Since.STUDY:
                return date_in(study.attributes, STUDY_DATE) or study.received
            case Since.RECEIPT:
                return study.received
            case Since.ACCESS:
                return max(study.received, study.accessed or date.min)

    def _of_age(self, study: StudyFacts) -> date | None:
        """The birthday from which on the patient is not `younger_than` any more."""
        if self.younger_than is None:
            return None
        born = date_in(study.attributes, PATIENT_BIRTH_DATE) or self._begin(study)
        return Period(years=self.younger_than).after(born)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a study is kept and by which rule. `until` None: for ever. `deletes`: it may be deleted by itself
    then."""

    rule: str
    until: date | None
    deletes: bool

    def is_over(self, today: date) -> bool:
        """Whether it may be deleted today."""
        return self.until is not None and self.until <= today


def retention_of(study: StudyFacts, rules: Iterable[RetentionRule]) -> Retention | None:
    """The retention of a study: the longest of the rules that match it, and of two that are equally long the one that
    deletes nothing. None where no rule does."""
    return longest(Retention(rule.name, rule.until(study), rule.deletes) for rule in rules if rule.matches(study))


def committers(study: StudyFacts, rules: Iterable[RetentionRule]) -> dict[str, str]:
    """The archives that must have committed a study before anything of it goes, each with the first rule that says so:
    all rules that match count, not the longest alone."""
    named: dict[str, str] = {}
    for rule in rules:
        if rule.committed_by and rule.matches(study):
            named = dict.fromkeys(rule.committed_by, rule.name) | named
    return named


def longest(several: Iterable[Retention | None]) -> Retention | None:
    """The longest of some retentions; None where there is none."""
    known = [retention for retention in several if retention is not None]
    return max(
        known,
        key=lambda retention: (retention.until is None, retention.until or date.min, not retention.deletes),
        default=None,
    )


def date_in(attributes: Mapping[int, Any], tag: int) -> date | None:
    """A date among attributes; None where it is missing, or no date."""
    values: Sequence[Any] = attributes.get(tag) or ()
    digits = dates.date(values[0]) if values and isinstance(values[0], str) else None
    try:
        return None if digits is None else date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
