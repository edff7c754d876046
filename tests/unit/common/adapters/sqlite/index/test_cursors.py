"""Where a listing continues."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.adapters.sqlite.index.cursors import FROM_THE_BEGINNING, Resumed, resumed
from gantry.common.adapters.sqlite.index.paths import Path
from gantry.common.adapters.sqlite.index.rows import Row, RowCursor
from gantry.common.dicom.query.attributes import Level
from gantry.common.errors import NotUnderstood

IDS = {Level.PATIENT: 1, Level.STUDY: 1, Level.SERIES: 2, Level.IMAGE: 3}
"""A mark has the ids from the path's own level, that of patients or of studies, down to the row's."""


@pytest.mark.parametrize("level", Level)
def test_no_mark_is_the_beginning(level: Level) -> None:
    assert resumed(level, ()) is FROM_THE_BEGINNING
    assert FROM_THE_BEGINNING.place(Path("")) is None


@pytest.mark.parametrize("level", Level)
@given(count=st.integers(0, 5))
def test_a_mark_has_as_many_ids_as_its_level(level: Level, count: int) -> None:
    mark = ("20240101", *range(1, count + 1))
    if count == IDS[level]:
        assert resumed(level, mark) == Resumed("20240101", tuple(range(1, count + 1)))
    else:
        with pytest.raises(NotUnderstood):
            resumed(level, mark)


@pytest.mark.parametrize("bad", ["1", -1, 1 << 62, None, 1.5])
def test_a_mark_from_outside_that_holds_what_is_no_id_is_refused(bad: object) -> None:
    with pytest.raises(NotUnderstood):
        resumed(Level.SERIES, ("x", 1, bad))  # type: ignore[arg-type]


def test_a_listing_of_the_paths_own_rows_goes_on_behind_the_row() -> None:
    assert Resumed("x", (7,)).place(Path("")) == RowCursor(id=7)


def test_a_listing_below_goes_on_at_the_row_that_it_is_below() -> None:
    """The walk begins behind an id: one less, so that the row comes again."""
    assert Resumed("x", (7, 3)).place(Path("")) == RowCursor(id=6)


PATH = Path("study_date", (("20240101", "20240131"), ("20240301", "20240331")))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20240115", RowCursor(0, "20240115", 7)),
        ("20240101", RowCursor(0, "20240101", 7)),
        ("20240331", RowCursor(1, "20240331", 7)),
        ("20240215", RowCursor(1)),  # between two: the next one from its beginning
        ("20230101", RowCursor(0)),
        ("20250101", RowCursor(2)),  # behind all
    ],
)
def test_a_place_lies_in_the_interval_of_its_value(value: str, expected: RowCursor) -> None:
    assert Resumed(value, (7,)).place(PATH) == expected


@pytest.mark.parametrize(
    ("mark", "behind"),
    [
        (("x", 5), 8),  # the study that was being read: its series from the one that was being read on
        (("x", 6), 0),  # a later study: all of its series
        (("x", 5, 9), 12),  # the series that was being read: behind its last instance
        (("x", 5, 10), 0),
    ],
)
def test_below_the_row_of_the_mark_the_walk_goes_on_and_below_others_it_begins(
    mark: tuple[str | int, ...], behind: int
) -> None:
    assert Resumed("x", (5, 9, 12)).below(Row(int(mark[-1]), {}, mark)) == behind


def test_from_the_beginning_everything_below_is_walked() -> None:
    assert FROM_THE_BEGINNING.below(Row(5, {}, ("x", 5))) == 0
