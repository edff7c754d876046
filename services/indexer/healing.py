"""Repair by resending: if the current object of an instance is missing or damaged, another receipt of the same bytes
takes its place.

A sender that resends a lost object gets Success as before, so the bytes it sent must be the ones read from then on.
"""

from __future__ import annotations

from collections.abc import Iterable

from gantry.common.events import InstanceStored
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import InstanceKey, SearchIndex
from gantry.common.runtime.integrity import examine
from gantry.common.runtime.losses import Losses, losses_of

_MOST = 16
"""Receipts of one instance that are examined together; the next time it is sent, the next ones are examined."""


class Healing:
    """Examines the current objects of instances that were sent again."""

    def __init__(self, objects: BlobStore, index: SearchIndex, losses: Losses) -> None:
        self._objects = objects
        self._index = index
        self._losses = losses

    async def __call__(self, resent: Iterable[InstanceStored]) -> None:
        """`resent` are receipts of bytes that were known before. Raises `DependencyUnavailable`."""
        by_instance = {(event.partition, _instance_of(event)): event for event in resent}
        for (partition, instance), event in by_instance.items():
            for _ in range(_MOST):
                if not await self._heal(partition, instance, event):
                    break

    async def _heal(self, partition: str, instance: InstanceKey, event: InstanceStored) -> bool:
        """Whether the current object was found lost and another receipt may be current now."""
        location = (await self._index.current(partition, [instance])).get(instance)
        if location is None or location.object_key == event.object_key:
            return False
        damage = await examine(self._objects, location)
        if damage is None:
            return False
        lost = await self._losses.report(partition, location, damage, event.trace)
        if lost is None:
            return False  # reported before, and no better receipt has arrived since
        await self._index.lose(await losses_of(self._index, [lost]))
        return True


def _instance_of(event: InstanceStored) -> InstanceKey:
    return InstanceKey(event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid)
