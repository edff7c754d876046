"""What was decided about one receipt: its deletions, those of them that were withdrawn, and whether it is collected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Deletion:
    """One deletion that names a receipt; `at` in microseconds since the epoch. A final one cannot be withdrawn. A
    `kept` one (a rejection) hides, and its objects are never collected. A `moved` one hides since another receipt of
    the same object stands for it: that of the study it was moved to, or, where it is final, the one it came from.
    `code` is that of the rejection note; "" for what no note did, and for notes that an earlier release followed."""

    id: str
    at: int
    final: bool = False
    kept: bool = False
    moved: bool = False
    code: str = ""

    @property
    def rejects(self) -> bool:
        """Whether it is what a rejection note did."""
        return self.kept or bool(self.code)


@dataclass(frozen=True, slots=True)
class DeletionState:
    """Joined by union: any order, any repetition gives the same."""

    deletions: frozenset[Deletion] = frozenset()
    withdrawn: frozenset[str] = frozenset()
    collected: bool = False

    def __or__(self, other: DeletionState) -> DeletionState:
        return DeletionState(
            self.deletions | other.deletions, self.withdrawn | other.withdrawn, self.collected or other.collected
        )

    @property
    def standing(self) -> frozenset[Deletion]:
        """The deletions that were not withdrawn, or cannot be."""
        return frozenset(deletion for deletion in self.deletions if deletion.final or deletion.id not in self.withdrawn)

    @property
    def hidden(self) -> bool:
        """Whether the receipt is there for nobody: deleted, or collected, which nothing undoes."""
        return self.collected or bool(self.standing)

    @property
    def was_restored(self) -> bool:
        """Whether somebody deleted the receipt, and somebody brought it back."""
        return any(
            deletion.id in self.withdrawn and not deletion.final and not deletion.rejects for deletion in self.deletions
        )

    @property
    def moved_away(self) -> bool:
        """Whether the object is that of another study now, of which another receipt tells."""
        return any(deletion.moved and not deletion.final for deletion in self.standing)

    @property
    def restorable(self) -> bool:
        """Whether withdrawing what stands would bring the receipt back; what was moved is moved back."""
        return (
            self.hidden
            and not self.collected
            and not any(deletion.final or deletion.moved for deletion in self.standing)
        )

    def is_due(self, now: int, grace: int) -> bool:
        """Whether its object may be collected: hidden, not collected yet, not of another study, and a deletion that
        stands is final, or older than `grace` and not kept. Both in microseconds; holds are the study's."""
        if self.collected or self.moved_away:
            return False
        return any(deletion.final or (not deletion.kept and deletion.at + grace <= now) for deletion in self.standing)

    def packed(self) -> list[Any]:
        """As plain values, for storing; the same deletion state is the same values."""
        deletions = [_packed(deletion) for deletion in sorted(self.deletions)]
        return [deletions, sorted(self.withdrawn), self.collected]

    @staticmethod
    def unpacked(values: list[Any]) -> DeletionState:
        """The other way round."""
        deletions, withdrawn, collected = values
        return DeletionState(
            frozenset(Deletion(*deletion) for deletion in deletions), frozenset(withdrawn), bool(collected)
        )


def _packed(deletion: Deletion) -> list[Any]:
    # Short, as it was before there were kept, moved and coded ones: the same deletion state is the same bytes.
    values = [deletion.id, deletion.at, deletion.final, deletion.kept, deletion.moved, deletion.code]
    return values[: 6 if deletion.code else 5 if deletion.moved else 4 if deletion.kept else 3]


ALIVE = DeletionState()
