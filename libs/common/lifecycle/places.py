"""Which object store a receipt's object lies in (pure): what relocations come to, whatever is heard first."""

from __future__ import annotations

from dataclasses import dataclass

HOT = "hot"
"""The object store that takes what arrives (`storage.objects`). Others have the names that the settings give them."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """In `store` since `at` (microseconds since the epoch). The latest relocation counts, of two at the same time the
    one whose store's name comes last: joined by maximum, so that order and repetition do not matter."""

    at: int = 0
    store: str = HOT

    def __or__(self, other: Place) -> Place:
        return max(self, other)


NEVER_MOVED = Place()
