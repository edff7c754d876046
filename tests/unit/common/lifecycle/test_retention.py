"""How long a study is kept: periods of the calendar, what they are counted from, and which of several rules decides."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.dicom.query.where import studies_where
from gantry.common.lifecycle import Period, RetentionRule, Since, StudyFacts, committers, retention_of

STUDY_DATE, BIRTH_DATE, MODALITIES = 0x00080020, 0x00100030, 0x00080061
RECEIVED = date(2021, 5, 5)


def rule(name: str = "r", years: int | None = 10, *where: str, **fields: Any) -> RetentionRule:
    period = None if years is None else Period(years=years)
    return RetentionRule(name, studies_where(where, "default", STANDARD), period, **fields)


def study(**fields: Any) -> StudyFacts:
    attributes = {STUDY_DATE: ["20200301"], BIRTH_DATE: ["19600101"], MODALITIES: ["CT"]}
    return StudyFacts(**{"attributes": attributes | fields.pop("attributes", {}), "received": RECEIVED, **fields})


@pytest.mark.parametrize(
    ("period", "begin", "end"),
    [
        (Period(years=1), date(2020, 2, 29), date(2021, 3, 1)),
        (Period(years=4), date(2020, 2, 29), date(2024, 2, 29)),
        (Period(months=1), date(2021, 1, 31), date(2021, 3, 1)),
        (Period(months=13), date(2020, 12, 15), date(2022, 1, 15)),
        (Period(days=30), date(2020, 2, 1), date(2020, 3, 2)),
        (Period(years=9999), date(2020, 1, 1), date.max),
    ],
)
def test_a_period_ends_on_the_day_that_the_calendar_says(period: Period, begin: date, end: date) -> None:
    assert period.after(begin) == end


def test_a_period_is_counted_from_study_receipt_or_access() -> None:
    assert rule().until(study()) == date(2030, 3, 1)
    assert rule(since=Since.RECEIPT).until(study()) == date(2031, 5, 5)
    assert rule(since=Since.ACCESS).until(study()) == date(2031, 5, 5)
    assert rule(since=Since.ACCESS).until(study(accessed=date(2024, 1, 1))) == date(2034, 1, 1)
    assert rule("r", None).until(study()) is None


@pytest.mark.parametrize("bad", [[], [""], ["00000000"], ["20200230"], ["yesterday"], [None]])
def test_a_study_without_a_date_is_counted_from_its_receipt(bad: list[Any]) -> None:
    assert rule().until(study(attributes={STUDY_DATE: bad})) == date(2031, 5, 5)


def test_a_rule_for_minors_counts_from_their_coming_of_age() -> None:
    minors = rule(younger_than=18)
    child = study(attributes={BIRTH_DATE: ["20100701"]})
    assert minors.matches(child)
    assert minors.until(child) == date(2038, 7, 1)
    assert not minors.matches(study(attributes={BIRTH_DATE: ["20020301"]}))
    assert minors.matches(study(attributes={BIRTH_DATE: ["20020302"]}))
    # Nobody knows how old: kept as one that was born on that day.
    unknown = study(attributes={BIRTH_DATE: []})
    assert minors.matches(unknown)
    assert minors.until(unknown) == date(2048, 3, 1)


def test_sources_are_any_of_those_that_sent_something() -> None:
    retention_rule = rule(sources=frozenset(["CT1", "CT2"]))
    assert retention_rule.matches(study(senders=frozenset(["CT2", "MR1"])))
    assert not retention_rule.matches(study(senders=frozenset(["MR1"])))
    assert not retention_rule.matches(study())


def test_the_longest_rule_that_matches_decides_and_for_ever_is_longest() -> None:
    rules = [rule("short", 5, deletes=True), rule("long", 20), rule("of MR", None, "ModalitiesInStudy=MR")]
    retention = retention_of(study(), rules)
    assert retention is not None
    assert (retention.rule, retention.until, retention.deletes) == ("long", date(2040, 3, 1), False)
    assert not retention.is_over(date(2040, 2, 29))
    assert retention.is_over(date(2040, 3, 1))
    retention = retention_of(study(attributes={MODALITIES: ["CT", "MR"]}), rules)
    assert retention is not None
    assert (retention.rule, retention.until) == ("of MR", None)
    assert not retention.is_over(date.max)
    assert retention_of(study(), rules[2:]) is None


def test_of_two_that_are_equally_long_the_one_that_deletes_nothing_decides() -> None:
    for rules in ([rule("a", deletes=True), rule("b")], [rule("b"), rule("a", deletes=True)]):
        retention = retention_of(study(), rules)
        assert retention is not None
        assert (retention.rule, retention.deletes) == ("b", False)


@given(st.lists(st.integers(1, 60) | st.none(), min_size=1, max_size=6), st.integers(1, 60) | st.none())
def test_another_rule_never_makes_a_retention_shorter(years: list[int | None], more: int | None) -> None:
    before = retention_of(study(), [rule(str(n), y) for n, y in enumerate(years)])
    after = retention_of(study(), [rule(str(n), y) for n, y in enumerate([*years, more])])
    assert before is not None
    assert after is not None
    assert (after.until or date.max) >= (before.until or date.max)


def test_every_rule_that_matches_says_which_archives_must_commit_first() -> None:
    rules = [
        rule("short", 1, committed_by=("DEEP",)),
        rule("long", 20, committed_by=("DEEP", "OTHER")),
        rule("of MR", 5, "ModalitiesInStudy=MR", committed_by=("THIRD",)),
        rule("none", None),
    ]
    assert committers(study(), rules) == {"DEEP": "short", "OTHER": "long"}
