"""Receipts that follow from others when instances are moved to another study.

A move is one event. The receipt that stands for an object in the other study follows from the receipt that it had and
from the name of the move, so whoever hears of the move, however often, and from whatever is left after a crash, comes
to the same receipt.
"""

from __future__ import annotations

from collections.abc import Iterator

from blake3 import blake3

from gantry.common.lifecycle.deletion_state import Deletion, DeletionState

_SAME = 16
"""Digits that stay: the time of receipt, so that the receipts of an instance keep their order, whatever is moved."""


def successor(receipt: str, move: str) -> str:
    """The receipt that an object has in the study that it was moved to."""
    return receipt[:_SAME] + blake3(f"{receipt}/{move}".encode()).hexdigest()[: 32 - _SAME]


def moved_back(move: str, at: int) -> DeletionState:
    """What a move that is withdrawn adds to the deletion state of the receipts that followed from it. `at` in
    microseconds."""
    return DeletionState(deletions=frozenset([Deletion(move, at, final=True, kept=True, moved=True)]))


def successors(receipt: str, deletion_state: DeletionState) -> Iterator[str]:
    """The receipts that follow from one by all its moves, withdrawn ones included."""
    for deletion in sorted(deletion_state.deletions):
        if deletion.moved and not deletion.final:
            yield successor(receipt, deletion.id)
