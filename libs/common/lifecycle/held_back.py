"""How much of a log may be forgotten by a reader that still has work of its own with some of it (pure).

Records are read in order, in several sequences (partitions). A reader that goes on after a crash reads again from the
first record that is still held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
LogPlace = tuple[str, int]
"""A topic and a partition of it."""


class HeldBack(Generic[T]):
    """What was read, each record with what holds it, or None."""

    def __init__(self, is_done: Callable[[T], bool]) -> None:
        self._is_done = is_done
        self._read: dict[LogPlace, deque[tuple[int, T | None]]] = {}

    def take(self, place: LogPlace, offset: int, holder: T | None) -> None:
        """The next record of a place."""
        self._read.setdefault(place, deque()).append((offset, holder))

    def forget(self) -> Iterator[tuple[LogPlace, int]]:
        """For each place the last offset up to which nothing is held any more, where that has moved."""
        for place, read in self._read.items():
            last = None
            while read and (read[0][1] is None or self._is_done(read[0][1])):
                last, _ = read.popleft()
            if last is not None:
                yield place, last
