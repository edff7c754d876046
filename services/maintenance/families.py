"""The receipts that share one object, because its instance was moved to another study, perhaps more than once."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.ids import receipt_in_key
from gantry.common.lifecycle import ALIVE, successors
from gantry.common.ports.index import DecidedReceipt, SearchIndex


class Families:
    """The families of one partition."""

    def __init__(self, index: SearchIndex, partition: str) -> None:
        self._index = index
        self._partition = partition

    async def of(self, members: Sequence[DecidedReceipt]) -> dict[str, list[DecidedReceipt]]:
        """For each receipt, all that share its object, including itself: the receipt with which the object arrived, and
        those that moves derived from it. A member without decisions counts as present. Raises
        `DependencyUnavailable`."""
        first = {member.id: _first(member) for member in members}
        known: dict[str, DecidedReceipt] = {}
        children: dict[str, list[str]] = {}
        names = set(first.values())
        while names:
            parents = await self._index.decided_receipts(self._partition, sorted(names))
            known |= parents
            children |= {
                receipt: list(successors(receipt, member.deletion_state)) for receipt, member in parents.items()
            }
            names = {child for receipt in parents for child in children[receipt]} - known.keys()
        return {member.id: _below(first[member.id], known, children, member) for member in members}


def _first(member: DecidedReceipt) -> str:
    """The receipt with which the object arrived."""
    named = receipt_in_key(member.object_key) if member.object_key else None
    return member.id if named is None else named.id


def _below(
    first: str, known: dict[str, DecidedReceipt], children: dict[str, list[str]], member: DecidedReceipt
) -> list[DecidedReceipt]:
    family, waiting = {member.id: member}, [first]
    while waiting:
        receipt = waiting.pop()
        # Without any decision only its name is known: it is present, and needs its object.
        family.setdefault(receipt, known.get(receipt) or DecidedReceipt(member.instance, receipt, ALIVE))
        waiting += children.get(receipt, ())
    return list(family.values())
