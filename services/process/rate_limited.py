"""A log line for the first of its kind, then one a minute with how many there were: a modality that is refused 5,000
times an hour, or somebody who knocks all day, must neither fill the disk nor go unsaid. Pure: time is an argument."""

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
    """Counts what happens, by kind. A kind is a tuple that begins with whose it is."""

    def __init__(self, every: float = EVERY_SECONDS) -> None:
        self._every = every
        self._kinds: dict[tuple[Hashable, ...], _Kind] = {}

    def times(self, kind: tuple[Hashable, ...], now: float) -> int:
        """It happened again: how often since it was said last, if it is to be said now; 0 if not. `now` in seconds."""
        known = self._kinds.get(kind)
        if known is None:
            while len(self._kinds) >= _MOST_KINDS:  # the oldest is forgotten: what it left unsaid was said once
                del self._kinds[next(iter(self._kinds))]
            self._kinds[kind] = _Kind(now)
            return 1
        known.unsaid += 1
        if now - known.said_at < self._every:
            return 0
        times, known.unsaid, known.said_at = known.unsaid, 0, now
        return times

    def unsaid(self, whose: Hashable, now: float) -> list[tuple[tuple[Hashable, ...], int]]:
        """The kinds of one owner that happened since they were said, with how often. They are said now."""
        found = [(kind, known) for kind, known in self._kinds.items() if kind[0] == whose and known.unsaid]
        counts = [(kind, known.unsaid) for kind, known in found]
        for _, known in found:
            known.unsaid, known.said_at = 0, now
        return counts
