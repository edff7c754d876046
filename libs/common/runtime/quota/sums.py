"""The size of an archive: a count up to a folder of the object store, listings of the folders from there on, and what
this process stored since they were listed. Pure.

Objects lie in a folder for each 2^20 ms (17 minutes) of arrival (`Receipt.object_key`). A count of the index covers the
folders before `StoredCount.since`, which lies well before the count began: what it covers was indexed by then. Later
folders are listed in the object store itself, whichever process wrote to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gantry.common.ids import FOLDER_MS

_MARGIN_MS = 3_600_000
"""An object is received, stored and indexed within this time; otherwise a count may miss it until the next one."""


@dataclass(frozen=True, slots=True)
class StoredCount:
    """A finished count. `settled`: bytes of the data sets of current objects that arrived before `since`, without
    foreign ones in place. Times in microseconds since the epoch."""

    begun_at: int
    finished_at: int
    settled: int

    @property
    def since(self) -> int:
        """The first folder that the count does not cover."""
        return covered_to(self.begun_at)


def folder_of(now_us: int) -> int:
    """The folder of objects that arrive now."""
    return now_us // 1000 // FOLDER_MS


def covered_to(begun_at: int) -> int:
    """The first folder that a count leaves to listings, if it begins at `begun_at` (microseconds)."""
    return max(0, begun_at // 1000 - _MARGIN_MS) // FOLDER_MS


class StoredSums:
    """The bytes of one archive, as one process knows them."""

    def __init__(self) -> None:
        self.count: StoredCount | None = None
        self._since: int | None = None
        self._listed: dict[int, int] = {}
        self._listed_to = -1
        """Folders from `_since` to here were listed when no more objects were expected in them."""
        self._turn = 0
        self._own: dict[int, int] = {}
        """Bytes that this process stored and no listing has found yet, by folder."""
        self._under_way = 0
        self._sum = 0

    @property
    def used(self) -> int:
        """Bytes, including objects under way."""
        return self._sum + self._under_way

    def begin(self, now_us: int) -> None:
        """There is no count yet: start a little before now."""
        if self._since is None:
            self._start(covered_to(now_us))

    def counted(self, count: StoredCount) -> None:
        """A count has ended. One older than the known one changes nothing."""
        if self.count is not None and count.begun_at <= self.count.begun_at:
            return
        self.count = count
        self._start(count.since)

    def _start(self, since: int) -> None:
        if self._since is None or since < self._since:
            self._listed_to = since - 1
        self._since = since
        for folders in (self._listed, self._own):
            for folder in [number for number in folders if number < since]:
                del folders[folder]
        self._add_up()

    # ---- listings

    def due(self, now_us: int) -> list[tuple[int, int]]:
        """The folders to list now, as first and last of each run: those not listed yet, or listed when more could still
        arrive, and the newest two; others to which this process wrote; and one more in turn, since objects may have
        been removed from it."""
        if self._since is None:
            return []
        newest = folder_of(now_us)
        first = max(self._since, min(self._listed_to + 1, newest - 1))
        older = {folder for folder in self._own if self._since <= folder < first}
        if self._since < first:
            self._turn = self._turn + 1 if self._since <= self._turn + 1 < first else self._since
            older.add(self._turn)
        return [*((folder, folder) for folder in sorted(older)), (first, newest + 1)]

    def listing(self, first: int, last: int) -> Mapping[int, int]:
        """A listing of folders begins. Returns what this process stored in them by now, which the listing will find."""
        return {folder: size for folder, size in self._own.items() if first <= folder <= last}

    def listed(self, first: int, last: int, sizes: Mapping[int, int], own: Mapping[int, int], now_us: int) -> None:
        """The listing has ended: bytes by folder, and the result of `listing`."""
        for folder in [number for number in self._listed if first <= number <= last]:
            del self._listed[folder]
        self._listed |= {folder: size for folder, size in sizes.items() if first <= folder <= last and size}
        for folder, size in own.items():
            left = self._own.get(folder, 0) - size
            if left > 0:
                self._own[folder] = left
            else:
                self._own.pop(folder, None)
        if first <= self._listed_to + 1:
            # The newest two may still get objects after this listing, however late the next one is.
            self._listed_to = max(self._listed_to, min(last, folder_of(now_us) - 2))
        self._add_up()

    # ---- what this process stores

    def reserve(self, size: int) -> None:
        """An object of `size` bytes is about to be stored."""
        self._under_way += size

    def release(self, size: int) -> None:
        """The object was not stored."""
        self._under_way -= size

    def store(self, size: int, folder: int) -> None:
        """The object was stored, in this folder."""
        self._under_way -= size
        self._own[folder] = self._own.get(folder, 0) + size
        self._sum += size

    def _add_up(self) -> None:
        settled = 0 if self.count is None else self.count.settled
        self._sum = settled + sum(self._listed.values()) + sum(self._own.values())
