"""Where a listing continues: the position of the last document, as the start of the walk."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.common.adapters.sqlite.index.paths import Path
from gantry.common.adapters.sqlite.index.rows import Row, RowCursor
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Cursor as Mark
from gantry.common.errors import NotUnderstood

_MOST = 1 << 62


@dataclass(frozen=True, slots=True)
class Resumed:
    """`value` is the value by which the path sorts; `ids` are those of the last row and of the rows above it."""

    value: str | int = 0
    ids: tuple[int, ...] = ()

    def place(self, path: Path) -> RowCursor | None:
        """Where the walk along the path begins: after the last row, or at the row above it."""
        if not self.ids:
            return None
        first = self.ids[0] if len(self.ids) == 1 else self.ids[0] - 1
        if not path.column:
            return RowCursor(id=first)
        interval = path.interval_of(self.value)
        within = interval < len(path.intervals) and str(path.intervals[interval][0]) <= str(self.value)
        return RowCursor(interval, self.value, first) if within else RowCursor(interval)

    def below(self, row: Row) -> int:
        """The id after which the rows below `row` begin."""
        depth = len(row.mark) - 1  # ids in the mark; the first is the path's value
        if not self.ids or row.mark[1:] != self.ids[:depth]:
            return 0
        return self.ids[depth] if depth == len(self.ids) - 1 else self.ids[depth] - 1


FROM_THE_BEGINNING = Resumed()


def resumed(level: Level, mark: Mark) -> Resumed:
    """Raises `NotUnderstood` if the mark is not a place in a listing of this level."""
    if not mark:
        return FROM_THE_BEGINNING
    ids = tuple([part for part in mark[1:] if isinstance(part, int) and 0 <= part < _MOST])
    if len(mark) - 1 != len(ids) or len(ids) != max(1, level.depth):
        raise NotUnderstood("the cursor is not of this listing")
    return Resumed(mark[0], ids)
