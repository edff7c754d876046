"""The receipts that share one object, because its instance was moved to another study, perhaps more than once."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.ids import receipt_in_key
from gantry.common.lifecycle import ALIVE, successors
from gantry.common.ports.index import FatedReceipt, SearchIndex


class Families:
    """The families of one partition."""

    def __init__(self, index: SearchIndex, partition: str) -> None:
        self._index = index
        self._partition = partition

    async def of(self, members: Sequence[FatedReceipt]) -> dict[str, list[FatedReceipt]]:
        """For each receipt, all that share its object, including itself: the receipt with which the object arrived, and
        those that moves derived from it. A member without decisions counts as present. Raises
        `DependencyUnavailable`."""
        first = {member.receipt: _first(member) for member in members}
        known: dict[str, FatedReceipt] = {}
        children: dict[str, list[str]] = {}
        names = set(first.values())
        while names:
            parents = await self._index.fated_receipts(self._partition, sorted(names))
            known |= parents
            children |= {receipt: list(successors(receipt, member.fate)) for receipt, member in parents.items()}
            names = {child for receipt in parents for child in children[receipt]} - known.keys()
        return {member.receipt: _below(first[member.receipt], known, children, member) for member in members}


def _first(member: FatedReceipt) -> str:
    """The receipt with which the object arrived."""
    named = receipt_in_key(member.object_key) if member.object_key else None
    return member.receipt if named is None else named.id


def _below(
    first: str, known: dict[str, FatedReceipt], children: dict[str, list[str]], member: FatedReceipt
) -> list[FatedReceipt]:
    family, waiting = {member.receipt: member}, [first]
    while waiting:
        receipt = waiting.pop()
        # Without any decision only its name is known: it is present, and needs its object.
        family.setdefault(receipt, known.get(receipt) or FatedReceipt(member.instance, receipt, ALIVE))
        waiting += children.get(receipt, ())
    return list(family.values())
