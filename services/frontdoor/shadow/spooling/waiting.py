"""Which line of the spool is next. Pure: however many wait, and for whatever moment, asking costs the same."""

from __future__ import annotations

import heapq
from typing import Generic, Protocol, TypeVar


class Waits(Protocol):
    """A line, as far as it matters here."""

    name: str

    @property
    def can_be_sent(self) -> bool:
        """Whether its first object is whole, and its mirror sends nothing more of it."""


Line = TypeVar("Line", bound=Waits)


class WaitingLines(Generic[Line]):
    """Lines of one kind of which something can be sent: now, or from a moment on."""

    def __init__(self) -> None:
        self._now: dict[str, Line] = {}
        self._later: list[tuple[float, str, Line]] = []
        self._put_off: set[str] = set()

    def add(self, line: Line) -> None:
        """Something of the line can be sent; one that was put off stays so."""
        if line.name not in self._put_off and line.can_be_sent:
            self._now.setdefault(line.name, line)

    def put_off(self, line: Line, until: float) -> None:
        """Not before `until`, in seconds of a clock that never goes back."""
        self._now.pop(line.name, None)
        if line.name not in self._put_off:
            self._put_off.add(line.name)
            heapq.heappush(self._later, (until, line.name, line))

    def next(self, now: float) -> Line | None:
        """The line that came first of those that can be sent. It stays the next one until it is put off, or nothing of
        it is left."""
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
