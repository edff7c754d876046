"""The receipts that share one object, since its instance was moved to another study, perhaps more than once."""

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
        """For each receipt, all that share its object, including itself: the receipt that the object came with, and
        those that moves derived from it. A member without decisions is present. Raises `DependencyUnavailable`."""
        first = {one.receipt: _first(one) for one in members}
        known: dict[str, FatedReceipt] = {}
        children: dict[str, list[str]] = {}
        asked = set(first.values())
        while asked:
            found = await self._index.fated_receipts(self._partition, sorted(asked))
            known |= found
            children |= {receipt: list(successors(receipt, one.fate)) for receipt, one in found.items()}
            asked = {child for receipt in found for child in children[receipt]} - known.keys()
        return {one.receipt: _below(first[one.receipt], known, children, one) for one in members}


def _first(one: FatedReceipt) -> str:
    """The receipt that the object came with."""
    named = receipt_in_key(one.object_key) if one.object_key else None
    return one.receipt if named is None else named.id


def _below(
    first: str, known: dict[str, FatedReceipt], children: dict[str, list[str]], one: FatedReceipt
) -> list[FatedReceipt]:
    found, waiting = {one.receipt: one}, [first]
    while waiting:
        receipt = waiting.pop()
        # Without any decision only its name is known: it is present, and needs its object.
        found.setdefault(receipt, known.get(receipt) or FatedReceipt(one.instance, receipt, ALIVE))
        waiting += children.get(receipt, ())
    return list(found.values())
