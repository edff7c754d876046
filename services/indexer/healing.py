"""The same bytes sent again are a chance to mend: where the object that is read now is missing or damaged, another
receipt of the same bytes takes its place.

Who sends again what was lost gets Success as before, so what it sent must be what is read from then on.
"""

from __future__ import annotations

from collections.abc import Iterable

from gantry.common.events import InstanceStored
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import InstanceKey, SearchIndex
from gantry.common.runtime.integrity import examine
from gantry.common.runtime.losses import Losses, loss_of

_MOST = 16
"""Receipts of one instance that are looked at in turn; the next time it is sent, the next ones are."""


class Healing:
    """Looks at what is read now of instances that were sent again."""

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
        """Whether the object that was read is lost, and another one may be read now."""
        location = (await self._index.current(partition, [instance])).get(instance)
        if location is None or location.object_key == event.object_key:
            return False
        damage = await examine(self._objects, location)
        if damage is None:
            return False
        lost = await self._losses.report(partition, location, damage, event.trace)
        if lost is None:
            return False  # reported before, and nothing better has come since
        await self._index.lose([loss_of(lost)])
        return True


def _instance_of(event: InstanceStored) -> InstanceKey:
    return InstanceKey(event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid)
