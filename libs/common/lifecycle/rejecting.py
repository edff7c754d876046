"""What follows for receipts of an instance from the rejections and deletions that stand on its other receipts: pure,
with the policy and times as arguments (IHE RAD TF-3 4.66: subsequent occurrence of rejected instances).

A note that came before its objects names a receipt for each instance that is not here yet, which nothing was or will
be received as (`waiting_receipt`): so it is a deletion as any other, is known wherever deletions are, and is withdrawn
like one. What comes within the time falls under it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from blake3 import blake3

from gantry.common.dicom.model.rejection_notes import REVOKE
from gantry.common.ids import Receipt
from gantry.common.lifecycle.deletion_state import Deletion, DeletionState

DELETED = "deleted"
"""Stands for a code where an instance was deleted, not rejected."""


class SentAgain(StrEnum):
    """What an instance means that is sent again after it was rejected or deleted."""

    ACCEPT = "accept"
    """It is there again."""
    IGNORE = "ignore"
    """It is acknowledged, and is hidden as what it repeats."""
    REFUSE = "refuse"
    """It is refused (A771H). What was acknowledged before that could be known is hidden."""


_STRICTER = (SentAgain.ACCEPT, SentAgain.IGNORE, SentAgain.REFUSE)


@dataclass(frozen=True, slots=True)
class RejectionPolicy:
    """What follows from rejections, by configuration.

    `again` by code (or `DELETED`), what is not named is accepted. `overwrites` are pairs: a note of the first code
    (or `REVOKE`) may follow a rejection with the second. `note_first` is in milliseconds: so long before its objects a
    note may come; 0: never. `stays` are the codes of which objects are never collected."""

    again: Mapping[str, SentAgain] = field(default_factory=dict)
    overwrites: Collection[tuple[str, str]] = frozenset()
    note_first: int = 0
    stays: Collection[str] = frozenset()

    @property
    def revokes(self) -> frozenset[str]:
        """The codes that a note may revoke."""
        return frozenset(old for new, old in self.overwrites if new == REVOKE)

    @property
    def refuses(self) -> bool:
        """Whether anything is refused that is sent again."""
        return SentAgain.REFUSE in self.again.values()

    @property
    def follows(self) -> bool:
        """Whether anything at all follows from what was decided before."""
        return bool(self.note_first) or any(answer is not SentAgain.ACCEPT for answer in self.again.values())

    def may_overwrite(self, code: str, deletion_state: DeletionState) -> bool:
        """Whether a note with `code` may follow the rejections that stand in a deletion state. Deletions are not
        overwritten, nor what is collected, nor what an earlier release rejected: that has no code."""
        return deletion_state.restorable and all(
            (code, deletion.code) in self.overwrites for deletion in deletion_state.standing
        )


def waiting_receipt(note: str, series: str, instance: str) -> str:
    """The receipt that a note, named by its own receipt, names for an instance that is not here yet."""
    place = blake3(f"{note}/{series}/{instance}".encode()).hexdigest(length=10)
    return f"{note[:12]}{place}"


def is_waiting(receipt: str, deletion: Deletion, series: str, instance: str) -> bool:
    """Whether a deletion names a receipt only to wait for its instance."""
    return bool(deletion.code) and receipt == waiting_receipt(deletion.id, series, instance)


def subsequent(
    series: str,
    instance: str,
    receipts: Collection[str],
    deletion_states: Mapping[str, DeletionState],
    policy: RejectionPolicy,
    *,
    arrived: Collection[str],
    rejected: bool,
) -> dict[str, Deletion]:
    """Of the receipts of an instance (`receipts`), those that must not be, each with the rejection or deletion that
    it falls under. `deletion_states` is what was decided about its other receipts; `arrived` are those that
    just came, and `rejected` is whether a rejection just did. Asked at both, it ends the same whichever came first.

    1. What comes within the time after a note that waits for it, or came before the note and was not known then, is
       rejected by it.
    2. What comes where nothing else of the instance is there, and something was rejected or deleted with a code that
       does not accept it again, is hidden with it; so is what came while the note did.
    """
    falls = _awaited(series, instance, receipts, deletion_states, policy)
    left = [receipt for receipt in receipts if receipt not in falls]
    verdict = repeats(series, instance, deletion_states, policy)
    if verdict is None or verdict[0] is SentAgain.ACCEPT:
        return falls
    if (rejected and verdict[1].code) or all(receipt in arrived for receipt in left):
        falls |= dict.fromkeys(left, verdict[1])
    return falls


def in_force(deletion_states: Mapping[str, DeletionState]) -> list[tuple[str, Deletion]]:
    """What stands on receipts of an instance, but for what was withdrawn from another one of them: it does not decide
    about what comes. A note that revokes a rejection names those that are known then; one that the rejection reached
    meanwhile stays hidden, and what was brought back is not hidden again by the same rejection."""
    withdrawn = {id_ for deletion_state in deletion_states.values() for id_ in deletion_state.withdrawn}
    return [
        (receipt, deletion)
        for receipt, deletion_state in deletion_states.items()
        for deletion in deletion_state.standing
        if deletion.final or deletion.id not in withdrawn
    ]


def _awaited(
    series: str,
    instance: str,
    receipts: Collection[str],
    deletion_states: Mapping[str, DeletionState],
    policy: RejectionPolicy,
) -> dict[str, Deletion]:
    waiting = [
        (Receipt(deletion.id).milliseconds + policy.note_first, deletion)
        for receipt, deletion in in_force(deletion_states)
        if is_waiting(receipt, deletion, series, instance)
    ]
    falls = {}
    for receipt in receipts:
        in_time = [deletion for until, deletion in waiting if Receipt(receipt).milliseconds <= until]
        if in_time:
            falls[receipt] = max(in_time)
    return falls


def repeats(
    series: str, instance: str, deletion_states: Mapping[str, DeletionState], policy: RejectionPolicy
) -> tuple[SentAgain, Deletion] | None:
    """What a receipt means of an instance of which no other receipt is there: the strictest that the policy says of the
    rejections and deletions that stand in `deletion_states`, the latest of these where they are equal. None where
    nothing stands: it is new."""
    standing = [
        deletion
        for receipt, deletion in in_force(deletion_states)
        if not is_waiting(receipt, deletion, series, instance)
    ]
    if not standing:
        return None
    # A rejection without a code is of an earlier release: what follows from it is what followed then.
    verdicts = [
        (SentAgain.ACCEPT if deletion.kept and not deletion.code else _resend_rule(deletion, policy), deletion)
        for deletion in standing
    ]
    return max(verdicts, key=lambda pair: (_STRICTER.index(pair[0]), pair[1]))


def _resend_rule(deletion: Deletion, policy: RejectionPolicy) -> SentAgain:
    return policy.again.get(deletion.code or DELETED, SentAgain.ACCEPT)
