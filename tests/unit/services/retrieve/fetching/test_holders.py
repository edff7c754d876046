"""Which archives have a study, which to ask first, and what is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Condition, Query, Single, UidList
from gantry.common.dicom.standard.tags import (
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    PATIENT_ID,
    STUDY_INSTANCE_UID,
)
from gantry.services.retrieve.fetching.holders import MOST_STUDIES, Holder, holder_in, in_order, lack_of, studies_of


def answer(uid: str, *count: str) -> dict[int, list[str]]:
    return {STUDY_INSTANCE_UID: [uid], NUMBER_OF_STUDY_RELATED_INSTANCES: list(count)}


def test_an_archive_has_a_study_if_it_names_it_whatever_else_it_answers() -> None:
    assert holder_in("OLD", "1.2", [answer("1.3", "9"), answer("1.2", "4 ")]) == Holder("OLD", 4)
    assert holder_in("OLD", "1.2", [answer("1.3", "9"), {}, {STUDY_INSTANCE_UID: ["1.2", "1.3"]}]) is None


@pytest.mark.parametrize(
    "count",
    [[], [""], ["many"], ["-1"], ["٣"], ["9" * 5000]],
    ids=["none", "empty", "text", "negative", "arabic", "long"],
)
def test_a_count_that_is_none_is_not_told(count: list[str]) -> None:
    assert holder_in("OLD", "1.2", [answer("1.2", *count)]) == Holder("OLD", 0)


def test_who_has_the_most_is_asked_first_and_else_whom_the_settings_name_first() -> None:
    holders = [Holder("A", 3), Holder("B", 0), Holder("C", 5), Holder("D", 5)]
    assert [holder.ae_title for holder in in_order(holders)] == ["C", "D", "A", "B"]


@pytest.mark.parametrize(
    ("count", "announced", "moved", "whole", "lacking"),
    [
        (5, 5, 5, True, 0), (5, 0, 5, True, 0), (4, 5, 4, True, 1), (3, 0, 5, True, 2), (6, 5, 5, True, 0),
        (2, 5, 2, False, 3), (5, 5, 0, False, 0), (5, 0, 0, False, 1), (0, 0, 0, False, 1), (0, 0, 0, True, 0),
    ],
)  # fmt: skip
def test_what_is_lacking_is_what_was_told_of_and_at_least_one_where_nobody_knows(
    count: int, announced: int, moved: int, whole: bool, lacking: int
) -> None:
    assert lack_of(count, announced, moved, whole) == lacking


@given(*[st.integers(0, 9)] * 3, st.booleans())
def test_nothing_is_lacking_only_where_as_much_is_here_as_was_told(
    count: int, announced: int, moved: int, whole: bool
) -> None:
    if lack_of(count, announced, moved, whole) == 0:
        assert count >= announced
        assert whole or announced


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        (None, 0), (Single(("1.2",)), 1), (UidList(tuple(f"1.{n}" for n in range(MOST_STUDIES))), MOST_STUDIES),
        (UidList(tuple(f"1.{n}" for n in range(MOST_STUDIES + 1))), 0),
    ],
    ids=["none", "one", "most", "more"],
)  # fmt: skip
def test_a_few_studies_that_are_named_are_fetched(condition: Condition | None, count: int) -> None:
    conditions: dict[int, Condition] = {PATIENT_ID: Single(("P1",))}
    if condition is not None:
        conditions[STUDY_INSTANCE_UID] = condition
    assert len(studies_of(Query("default", Level.STUDY, conditions))) == count
