"""Changes of studies, at most one per study and second; and the cursors after which a listener continues. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgpack

INTERVAL_SECONDS = 1.0
MOST_PENDING = 10_000
"""Studies that may wait for their second to end; beyond this number the oldest are published at once."""
_MOST_PARTITIONS = 4096
_LONGEST = 1 << 16

Offsets = Mapping[int, int]
"""For each partition of the log, the next offset to read."""


@dataclass(frozen=True, slots=True)
class StudyChange:
    """A study that changed, and a cursor: a listener that continues after it misses nothing."""

    study: str
    cursor: Offsets


class Coalescing:
    """Takes the changes read from the log, and returns those to publish."""

    def __init__(self, begin: Offsets) -> None:
        """`begin` is where reading begins."""
        self._ends = begin
        self._safe = begin
        self._pending: dict[str, tuple[float, Offsets]] = {}
        self._notices: dict[str, float] = {}

    def add(self, studies: Iterable[str], ends: Offsets, now: float) -> None:
        """Add studies that changed before `ends`."""
        for study in studies:
            if study not in self._pending:
                self._pending[study] = (self._notices.get(study, now - INTERVAL_SECONDS) + INTERVAL_SECONDS, self._ends)
        self._ends = dict(ends)
        if not self._pending:
            self._safe = self._ends

    def due(self, now: float) -> list[StudyChange]:
        """The changes to publish now."""
        surplus = len(self._pending) - MOST_PENDING
        ready = [
            study for place, (study, (due, _)) in enumerate(self._pending.items()) if due <= now or place < surplus
        ]
        self._notices = {study: at for study, at in self._notices.items() if at + INTERVAL_SECONDS > now}
        for study in ready:
            del self._pending[study]
            self._notices[study] = now
        if not ready:
            return []
        # A listener that continues after a change must not miss pending changes, nor the rest of these.
        before, (_, oldest) = self._safe, next(iter(self._pending.values()), (0.0, self._ends))
        self._safe = oldest
        return [StudyChange(study, oldest if study is ready[-1] else before) for study in ready]

    def wait(self, now: float) -> float | None:
        """Seconds until a change is due; None if none is pending."""
        return max(0.0, min(due for due, _ in self._pending.values()) - now) if self._pending else None


def cursor_text(offsets: Offsets) -> str:
    """A cursor as text that fits in a header."""
    packed: bytes = msgpack.packb(sorted(offsets.items()))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def cursor_of(text: str) -> dict[int, int] | None:
    """The cursor in a text; None if the text is not a cursor."""
    if len(text) > _LONGEST:
        return None
    try:
        pairs = msgpack.unpackb(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        offsets: dict[int, int] = dict(pairs)
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
    numbers = [*offsets, *offsets.values()]
    fits = 0 < len(offsets) <= _MOST_PARTITIONS and all(type(n) is int and 0 <= n < 1 << 62 for n in numbers)
    return offsets if fits else None
