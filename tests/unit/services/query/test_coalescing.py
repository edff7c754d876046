"""At most one change of a study in a second, and cursors that miss nothing: `gantry.services.query.coalescing`."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.services.query import coalescing
from gantry.services.query.coalescing import Coalescing, cursor_of, cursor_text


def test_a_study_that_arrives_image_by_image_is_told_at_once_and_then_once_a_second() -> None:
    coalescer = Coalescing({0: 0})
    notices: list[tuple[float, str]] = []
    for tick in range(300):  # three seconds, a hundred images in each
        now = tick / 100
        coalescer.add(["1.2"], {0: tick + 1}, now)
        notices += [(now, change.study) for change in coalescer.due(now)]
    assert [round(at, 1) for at, _ in notices] == [0.0, 1.0, 2.0]
    assert coalescer.wait(3.0) == 0.0
    assert [change.cursor for change in coalescer.due(3.0)] == [{0: 300}]
    assert coalescer.wait(3.0) is None


def test_other_studies_do_not_wait_for_one() -> None:
    coalescer = Coalescing({0: 0})
    coalescer.add(["1.1"], {0: 1}, 0.0)
    assert [change.study for change in coalescer.due(0.0)] == ["1.1"]
    coalescer.add(["1.1", "1.2"], {0: 3}, 0.1)
    assert [change.study for change in coalescer.due(0.1)] == ["1.2"]
    assert [change.study for change in coalescer.due(1.1)] == ["1.1"]


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing, "MOST_PENDING", 100)
    coalescer = Coalescing({0: 0})
    studies = [f"1.{n}" for n in range(300)]
    coalescer.add(studies, {0: 300}, 0.0)
    assert len(coalescer.due(0.0)) == 300
    coalescer.add(studies, {0: 600}, 0.1)
    assert [change.study for change in coalescer.due(0.1)] == studies[:200]


_steps = st.lists(st.tuples(st.lists(st.sampled_from("abc"), max_size=3), st.floats(0, 0.7)), max_size=30)


@given(_steps, st.integers(0, 60))
def test_whoever_goes_on_behind_any_change_misses_none(steps: list[tuple[list[str], float]], heard: int) -> None:
    coalescer, records, now = Coalescing({0: 0}), list[str](), 0.0
    notices: list[tuple[coalescing.StudyChange, int]] = []
    for studies, seconds in steps:
        records += studies
        coalescer.add(dict.fromkeys(studies), {0: len(records)}, now)
        notices += [(change, len(records)) for change in coalescer.due(now)]
        now += seconds
    notices += [(change, len(records)) for change in coalescer.due(now + 10)]
    known = notices[:heard]
    cursor = known[-1][0].cursor[0] if known else 0
    # Records behind the cursor are read again. Of each before it, a change of its study was told after it was read.
    for place, study in enumerate(records[:cursor]):
        assert any(change.study == study and read > place for change, read in known)
    assert [change.cursor[0] for change, _ in notices] == sorted(change.cursor[0] for change, _ in notices)
    if notices:
        assert notices[-1][0].cursor == {0: len(records)}


@given(st.dictionaries(st.integers(0, 100), st.integers(0, 1 << 61), min_size=1))
def test_a_cursor_comes_back_as_it_was(offsets: dict[int, int]) -> None:
    assert cursor_of(cursor_text(offsets)) == offsets


@given(st.text())
def test_whatever_else_is_no_cursor(text: str) -> None:
    cursor = cursor_of(text)
    assert cursor is None or all(type(n) is int for n in (*cursor, *cursor.values()))


@given(st.binary(max_size=64))
def test_whatever_bytes_are_no_cursor_raise_nothing(data: bytes) -> None:
    cursor_of(base64.urlsafe_b64encode(data).decode().rstrip("="))


@pytest.mark.parametrize("text", ["", "x", "gA", "kZIBAg" * 20000, cursor_text({0: 1 << 62}), "wA", "kcA"])
def test_bad_cursors_are_refused(text: str) -> None:
    assert cursor_of(text) is None
