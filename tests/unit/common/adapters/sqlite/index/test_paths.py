"""A path may hold more rows than match, never fewer: against the reference matcher."""

from __future__ import annotations

import fnmatch
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.adapters.sqlite.index.paths import (
    Path,
    glob_of,
    path_of_studies,
    patient_path,
    plain_values,
    study_path,
    uids_of,
)
from gantry.common.adapters.sqlite.index.schema import NARROW, SEVERAL
from gantry.common.dicom.query.matching import (
    Condition,
    Document,
    Fuzzy,
    Level,
    Query,
    Range,
    Single,
    UidList,
    Wildcard,
    matches,
)
from gantry.common.dicom.query.person_names import fold_name, sounds_of, words_of

PID, NAME, DATE, STUDY = 0x00100020, 0x00100010, 0x00080020, 0x0020000D
TEXT = st.text("ab[]*?^", min_size=1, max_size=5) | st.just("x" * (NARROW + 5))
DAYS = st.dates().map(lambda day: f"{day.year:04d}{day:%m%d}")


def within(path: Path, value: str) -> bool:
    return not path.column or any(str(first) <= value <= str(last) for first, last in path.intervals)


def liked(path: Path, columns: dict[str, str]) -> bool:
    return all(
        any(
            columns.get(column, SEVERAL) == SEVERAL or fnmatch.fnmatchcase(columns[column], pattern)
            for column, pattern in each
        )
        for each in path.like
    )


def matched(tag: int, condition: Condition, value: str) -> bool:
    return matches(Query("p", Level.STUDY, {tag: condition}), Document(Level.STUDY, {tag: [value]}))


@given(st.lists(TEXT, min_size=1, max_size=3).map(tuple), TEXT, st.sampled_from([Single, Wildcard]))
def test_every_row_that_matches_by_its_text_is_on_the_path(texts: tuple[str, ...], value: str, kind: type) -> None:
    condition = kind(texts)
    if matched(PID, condition, value):
        path = study_path({PID: condition})
        assert within(path, value[:NARROW])
        assert within(path, SEVERAL)
        assert len(value) > NARROW or liked(path, {"pid": value})


PARTS = st.lists(
    st.sampled_from(["a", "ab", "anna", "ana", "^", " ", "-", "'", "\t", "[", "]", "?", "*"]), min_size=1, max_size=6
)


@given(PARTS.map("".join), PARTS.map("".join))
def test_every_row_that_matches_by_words_of_its_name_is_on_the_path(words: str, value: str) -> None:
    condition = Fuzzy((words,))
    if matched(NAME, condition, value):
        name, sounds = fold_name(value), {sound for word in words_of(value) for sound in sounds_of(word)}
        assert liked(study_path({NAME: condition}), {"name": name, "sounds": f" {' '.join(sorted(sounds))} "})


@given(st.none() | DAYS, st.none() | DAYS, DAYS)
def test_every_row_that_matches_by_its_date_is_on_the_path(first: str | None, last: str | None, value: str) -> None:
    if first is None and last is None:
        return
    condition = Range(first, last)
    if matched(DATE, condition, value):
        assert within(study_path({DATE: condition}), value)


@given(st.lists(TEXT, min_size=1, max_size=4).map(tuple))
def test_intervals_are_apart_and_in_order(texts: tuple[str, ...]) -> None:
    intervals = study_path({PID: Wildcard(texts)}).intervals
    ends = [end for interval in intervals for end in map(str, interval)]
    assert ends == sorted(ends)
    assert all(str(a[1]) < str(b[0]) for a, b in itertools.pairwise(intervals))


def test_the_most_selective_condition_leads() -> None:
    conditions: dict[int, Condition] = {DATE: Range("20240101", None), STUDY: UidList(("1.2",)), NAME: Single(("a",))}
    assert study_path(conditions).column == "uid"
    del conditions[STUDY]
    assert study_path(conditions).column == "name"
    assert study_path({}) == Path("")


def test_patients_are_found_by_id_and_name_alone() -> None:
    assert patient_path({DATE: Range("20240101", None), STUDY: UidList(("1.2",))}).column == ""
    assert patient_path({PID: Single(("P1",))}).column == "pid"


def test_a_range_of_what_is_no_date_holds_no_rows() -> None:
    assert study_path({DATE: Range("junk", None)}).intervals == ()


@given(st.text("ab[]", max_size=6), st.text("ab[]", max_size=6))
def test_brackets_mean_themselves(pattern: str, value: str) -> None:
    """GLOB knows them, PS3.4 C.2.2.2.4 does not."""
    assert fnmatch.fnmatchcase(value, glob_of(pattern)) is (value == pattern)


@pytest.mark.parametrize(("value", "number"), [("a", 0), ("b", 0), ("c", 1), ("e", 1), ("f", 2)])
def test_an_interval_is_the_first_that_does_not_end_before(value: str, number: int) -> None:
    assert Path("x", (("a", "b"), ("d", "e"))).interval_of(value) == number


def test_only_plain_values_can_be_looked_for_in_a_list_of_texts() -> None:
    assert plain_values(Single(("CT", "MR"))) == ['*"CT"*', '*"MR"*']
    assert plain_values(Single(("C*",))) == plain_values(Wildcard(("CT",))) == plain_values(None) == []
    assert uids_of(Wildcard(("1.2*",))) is None


def test_what_there_is_one_of_leads_along_a_column_if_all_of_it_does() -> None:
    mine, yours = {PID: Single(("P1",))}, {PID: Single(("P2",)), NAME: Wildcard(("A*",))}
    path = path_of_studies(Query("default", Level.STUDY, one_of=(mine, yours)))
    assert (path.column, [path.interval_of(pid) < len(path.intervals) for pid in ("P1", "P2")]) == ("pid", [True, True])
    assert ("P1", "P1") in path.intervals
    assert ("P2", "P2") in path.intervals
    # What the query itself asks for narrows as it did; and where one of several may be anywhere, nothing is narrowed.
    query = Query("default", Level.STUDY, {STUDY: Single(("1.2",))}, one_of=(mine, yours))
    assert path_of_studies(query).column == "uid"
    for others in ((mine, {}), (mine, {STUDY: Single(("1.2",))}), ()):
        assert path_of_studies(Query("default", Level.STUDY, one_of=others)).column == ""
