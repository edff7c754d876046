"""Which receipt of an instance is current: the earliest, in whatever order the receipts are applied (pure).

Even if an instance was received a hundred thousand times, two receipts decide: the earliest one, which is current, and
the earliest with other bytes, which is the other side of the conflict. Both stay until an earlier receipt arrives, and
then the old current one is among the two. So an index reads those two, and of the others only those in the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from gantry.common.ports.index import Applied, InstanceEntry, InstanceKey, Namesake, Outcome


def key_of(entry: InstanceEntry) -> InstanceKey:
    """The instance of an entry."""
    return InstanceKey(entry.study_instance_uid, entry.series_instance_uid, entry.sop_instance_uid)


def with_namesake(entry: InstanceEntry, applied: Applied, earliest: Sequence[Namesake]) -> Applied:
    """The outcome of an entry with its namesake. `earliest` are the (at most two) earliest instances of its SOP
    Instance UID."""
    own = entry.study_instance_uid, entry.series_instance_uid
    others = (namesake for namesake in earliest if (namesake.study_instance_uid, namesake.series_instance_uid) != own)
    return replace(applied, namesake=next(others, None))


class Candidate(NamedTuple):
    """One receipt of an instance, as far as the election needs it. Sorts by time of receipt."""

    receipt: str
    digest: str
    transfer_syntax: str

    def same_bytes(self, other: Candidate) -> bool:
        """Whether both are the same object: the same data set in the same transfer syntax."""
        return self.digest == other.digest and self.transfer_syntax == other.transfer_syntax


class Election:
    """The known receipts of one instance, and the outcomes of further entries."""

    def __init__(self, sides: Iterable[Candidate], elsewhere: Iterable[Candidate] = ()) -> None:
        """`sides` are known receipts, including the two that decide; `elsewhere` are known receipts not counted
        with them."""
        self.sides = list(sides)
        self._known = {side.receipt: side for side in (*elsewhere, *self.sides)}
        self._before = min(self.sides, default=None)
        self.current: InstanceEntry | None = None
        """The entry that became current, if one did."""
        self.new: list[InstanceEntry] = []
        """Entries whose receipts were not known."""

    @property
    def current_side(self) -> Candidate:
        """The current side."""
        return min(self.sides)

    @property
    def displaced(self) -> bool:
        """Whether other bytes than before became current: the receipts aside must then be counted again."""
        return self._before is not None and not self._before.same_bytes(self.current_side)

    @property
    def overtaken(self) -> bool:
        """Whether another receipt than before became current, of whatever bytes."""
        return self._before is not None and self._before.receipt != self.current_side.receipt

    @property
    def aside(self) -> int:
        """How many sides are aside: with other bytes than the current one."""
        current = self.current_side
        return sum(not side.same_bytes(current) for side in self.sides)

    def take(self, entry: InstanceEntry) -> Applied:
        """The outcome of one entry."""
        side = Candidate(entry.receipt, entry.digest, entry.transfer_syntax_uid)
        known = self._known.get(side.receipt)
        if known is not None:
            return self._with_both_sides(Outcome.REDELIVERED, known)
        before = min(self.sides, default=None)
        self.sides.append(side)
        self._known[side.receipt] = side
        self.new.append(entry)
        if before is None or side < before:
            self.current = entry
        if before is None:
            return Applied(Outcome.ADDED)
        return Applied(Outcome.REDUNDANT) if side.same_bytes(before) else self._with_both_sides(Outcome.CONFLICT, side)

    def _with_both_sides(self, outcome: Outcome, side: Candidate) -> Applied:
        """The outcome with both sides of the conflict of `side`, if there is one. A redelivered conflict is reported
        again: the process that first saw it may have died before it published it."""
        current = self.current_side
        aside = (
            side if side is not current else min((s for s in self.sides if not s.same_bytes(current)), default=current)
        )
        if aside.same_bytes(current):
            return Applied(outcome)
        return Applied(outcome, current.receipt, current.digest, aside.receipt, aside.digest)
