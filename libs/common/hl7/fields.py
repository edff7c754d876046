"""Where something stands in a message, as profiles write it: `OBR-18`, `ORC-3.1`, `PID-5.1.2`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gantry.common.hl7.message import MessageSegment
from gantry.common.hl7.problems import Spot

PATH = r"^[A-Z][A-Z0-9]{2}-[1-9]\d{0,2}(\.[1-9]\d?(\.[1-9]\d?)?)?$"
"""What a path looks like."""
_PATH = re.compile(r"(...)-(\d+)(?:\.(\d+)(?:\.(\d+))?)?")


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A component of a field of a segment; the first one where none is named."""

    segment: str
    field: int
    component: int = 1
    subcomponent: int = 0

    @classmethod
    def of(cls, text: str) -> FieldPath:
        """A path as it is written, which looks like `PATH`."""
        match = _PATH.fullmatch(text)
        assert match is not None, "settings let no other text in"
        return cls(match[1], int(match[2]), int(match[3] or 1), int(match[4] or 0))


@dataclass(frozen=True, slots=True)
class FoundText:
    """A text and where it stands; "" and the first place that was looked at, where there is none."""

    text: str
    spot: Spot

    def __bool__(self) -> bool:
        return bool(self.text)


def find(segments: Iterable[MessageSegment], paths: Sequence[FieldPath]) -> FoundText:
    """The first text that is not empty, in the order of the paths, then in that of the segments."""
    segments = list(segments)
    for path in paths:
        for segment in segments:
            if segment.name == path.segment:
                text = segment.text(path.field, path.component, path.subcomponent)
                if text:
                    return FoundText(text, segment.spot(path.field, path.component if path.component > 1 else 0))
    first = paths[0] if paths else None
    return FoundText("", Spot() if first is None else Spot(first.segment, 1, first.field))
