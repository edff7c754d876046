"""A log line for the first event of a kind, then one a minute with a count: a modality that is refused 5,000 times an
hour, or a scanner that connects all day, must neither fill the disk nor go unlogged. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

EVERY_SECONDS = 60.0
_MOST_KINDS = 1000


@dataclass(slots=True)
class _Kind:
    said_at: float
    unsaid: int = 0


class RateLimited:
    """Counts events by kind. A kind is a tuple that begins with its owner."""

    def __init__(self, every: float = EVERY_SECONDS) -> None:
        self._every = every
        self._kinds: dict[tuple[Hashable, ...], _Kind] = {}

    def times(self, kind: tuple[Hashable, ...], now: float) -> int:
        """Count an event. Returns how many there were since the last log line if it is to be logged now, else 0. `now`
        in seconds."""
        known = self._kinds.get(kind)
        if known is None:
            while len(self._kinds) >= _MOST_KINDS:  # the oldest is evicted: it was logged at least once
                del self._kinds[next(iter(self._kinds))]
            self._kinds[kind] = _Kind(now)
            return 1
        known.unsaid += 1
        if now - known.said_at < self._every:
            return 0
        times, known.unsaid, known.said_at = known.unsaid, 0, now
        return times

    def take_unlogged(self, whose: Hashable, now: float) -> list[tuple[tuple[Hashable, ...], int]]:
        """The kinds of one owner with events since their last log line, and their counts, for the caller to log now."""
        kinds = [(kind, known) for kind, known in self._kinds.items() if kind[0] == whose and known.unsaid]
        counts = [(kind, known.unsaid) for kind, known in kinds]
        for _, known in kinds:
            known.unsaid, known.said_at = 0, now
        return counts
