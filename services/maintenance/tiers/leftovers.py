"""Removes the old copies of moved objects when the grace time is over, after both copies were read again and are the
same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gantry.common.clock import Clock
from gantry.common.errors import Archived, Corrupt, NotFound
from gantry.common.ids import Receipt, receipt_in_key
from gantry.common.lifecycle import NEVER_MOVED, Place
from gantry.common.ports.blobs import BlobStat
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.tiered import TieredStore
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance.passes import Pace
from gantry.services.maintenance.tiers.copying import Print, print_of

_AT_ONCE = 500
logger = get_logger("tiers")


@dataclass(slots=True)
class StoreContents:
    """The content of the stores, by name: objects and bytes; and what was removed of objects that were in two of
    them."""

    objects: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    removed: int = 0
    removed_bytes: int = 0
    unequal: int = 0

    def count(self, copies: dict[str, BlobStat]) -> None:
        """Count an object."""
        for store, stat in copies.items():
            self.objects[store] = self.objects.get(store, 0) + 1
            self.bytes[store] = self.bytes.get(store, 0) + stat.size


class Leftovers:
    """Examines all stores of one archive."""

    def __init__(
        self,
        tiers: TieredStore,
        index: ReadIndex,
        clock: Clock,
        metrics: Metrics,
        partition: str,
        pace: Pace,
        grace: float,
    ) -> None:
        """`grace` in seconds."""
        self._tiers = tiers
        self._index = index
        self._clock = clock
        self._metrics = metrics
        self._partition = partition
        self._pace = pace
        self._grace_us = int(grace * 1e6)

    async def look(self, *, remove: bool) -> StoreContents:
        """Count the content of each store, and `remove` the copies left behind. The index must have followed the whole
        log. Raises `DependencyUnavailable`."""
        lying = StoreContents(dict.fromkeys(self._tiers.stores, 0), dict.fromkeys(self._tiers.stores, 0))
        several: list[dict[str, BlobStat]] = []
        async for copies in self._tiers.copies():
            lying.count(copies)
            if remove and len(copies) > 1:
                several.append(copies)
            if len(several) >= _AT_ONCE:
                await self._clear(several, lying)
                several = []
        await self._clear(several, lying)
        return lying

    async def _clear(self, several: Sequence[dict[str, BlobStat]], lying: StoreContents) -> None:
        receipts = {_key(copies): receipt_in_key(_key(copies)) for copies in several}
        places = await self._index.places(
            self._partition, [receipt.id for receipt in receipts.values() if receipt is not None]
        )
        for copies in several:
            receipt = receipts[_key(copies)]
            if receipt is not None:
                await self._leave(copies, receipt, places.get(receipt.id, NEVER_MOVED), lying)

    async def _leave(self, copies: dict[str, BlobStat], receipt: Receipt, place: Place, lying: StoreContents) -> None:
        """Remove all copies of an object but the one in its store. If it was never moved, the others are left from an
        interrupted move, which the next one would have used."""
        key = _key(copies)
        if place.store not in copies or place.at + self._grace_us > self._clock.now_us():
            return
        for store in [name for name in copies if name != place.store]:
            if not await self._same(copies[place.store], place.store, copies[store], store):
                lying.unequal += 1
                self._metrics.relocation_failures.labels("unequal").inc()
                logger.error("two copies of an object differ, both stay", key=key, stores=[place.store, store])
                continue
            await reach(FailPoint.BEFORE_LEAVE)
            await self._tiers.stores[store].delete(key)
            await reach(FailPoint.AFTER_LEAVE)
            lying.removed += 1
            lying.removed_bytes += copies[store].size
            lying.objects[store] -= 1
            lying.bytes[store] -= copies[store].size

    async def _same(self, stays: BlobStat, home: str, leaves: BlobStat, store: str) -> bool:
        """Whether two copies are the same bytes, read now. A copy that its store has archived meanwhile was verified
        when it was moved, and cannot be read now: its length is compared."""
        try:
            # `list` returns the stored size, which differs if one of the stores compresses.
            if await self._length(stays.key, home) != await self._length(leaves.key, store):
                return False
            return await self._read(stays.key, home) == await self._read(stays.key, store)
        except Archived:
            return True
        except (NotFound, Corrupt):
            return False

    async def _length(self, key: str, store: str) -> int:
        return (await self._tiers.stores[store].stat(key)).size

    async def _read(self, key: str, store: str) -> Print:
        return await print_of(self._tiers.stores[store], key, 0, self._pace)


def _key(copies: dict[str, BlobStat]) -> str:
    return next(iter(copies.values())).key
