"""Chooses the next line of the spool. Pure; the cost does not depend on how many lines wait, or until when."""

from __future__ import annotations

import heapq
from typing import Generic, Protocol, TypeVar


class Waits(Protocol):
    """The part of a line that is used here."""

    name: str

    @property
    def can_be_sent(self) -> bool:
        """Whether its first object is complete, and its mirror no longer sends it."""


Line = TypeVar("Line", bound=Waits)


class WaitingLines(Generic[Line]):
    """Lines of one kind that can be sent, now or from a given time on."""

    def __init__(self) -> None:
        self._now: dict[str, Line] = {}
        self._later: list[tuple[float, str, Line]] = []
        self._put_off: set[str] = set()

    def add(self, line: Line) -> None:
        """Add a line that can be sent; a line that was put off stays so."""
        if line.name not in self._put_off and line.can_be_sent:
            self._now.setdefault(line.name, line)

    def put_off(self, line: Line, until: float) -> None:
        """Send the line not before `until`, in seconds of a monotonic clock."""
        self._now.pop(line.name, None)
        if line.name not in self._put_off:
            self._put_off.add(line.name)
            heapq.heappush(self._later, (until, line.name, line))

    def next(self, now: float) -> Line | None:
        """The first line that can be sent. It stays the next one until it is put off or empty."""
        while self._later and self._later[0][0] <= now:
            _, name, line = heapq.heappop(self._later)
            self._put_off.discard(name)
            self.add(line)
        while self._now:
            line = next(iter(self._now.values()))
            if line.can_be_sent:
                return line
            del self._now[line.name]
        return None
