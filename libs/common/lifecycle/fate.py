"""What was decided about one receipt: its deletions, those of them that were withdrawn, and whether it is collected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Deletion:
    """One deletion that names a receipt; `at` in microseconds since the epoch. A final one cannot be withdrawn. A
    `kept` one (a rejection) hides, and its objects are never collected."""

    id: str
    at: int
    final: bool = False
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Fate:
    """Joined by union: any order, any repetition gives the same."""

    deletions: frozenset[Deletion] = frozenset()
    withdrawn: frozenset[str] = frozenset()
    collected: bool = False

    def __or__(self, other: Fate) -> Fate:
        return Fate(
            self.deletions | other.deletions, self.withdrawn | other.withdrawn, self.collected or other.collected
        )

    @property
    def standing(self) -> frozenset[Deletion]:
        """The deletions that were not withdrawn, or cannot be."""
        return frozenset(one for one in self.deletions if one.final or one.id not in self.withdrawn)

    @property
    def hidden(self) -> bool:
        """Whether the receipt is there for nobody: deleted, or collected, which nothing undoes."""
        return self.collected or bool(self.standing)

    @property
    def restorable(self) -> bool:
        """Whether withdrawing what stands would bring the receipt back."""
        return self.hidden and not self.collected and not any(one.final for one in self.standing)

    def is_due(self, now: int, grace: int) -> bool:
        """Whether its object may be collected: hidden, not collected yet, and a deletion that stands is final, or older
        than `grace` and not kept. Both in microseconds; holds are the study's."""
        return not self.collected and any(
            one.final or (not one.kept and one.at + grace <= now) for one in self.standing
        )

    def packed(self) -> list[Any]:
        """As plain values, for storing; the same fate is the same values."""
        deletions = [[d.id, d.at, d.final, d.kept][: 4 if d.kept else 3] for d in sorted(self.deletions)]
        return [deletions, sorted(self.withdrawn), self.collected]

    @staticmethod
    def unpacked(values: list[Any]) -> Fate:
        """The other way round."""
        deletions, withdrawn, collected = values
        return Fate(frozenset(Deletion(*one) for one in deletions), frozenset(withdrawn), bool(collected))


ALIVE = Fate()
