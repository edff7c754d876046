"""Removes values of orders that no event names: their writer died before the event was on the log."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.clock import Clock
from gantry.common.errors import GantryError, UndecodableEvent
from gantry.common.events import decode
from gantry.common.ids import DEFAULT_PARTITION, ORDER_VALUES, receipt_in_key
from gantry.common.orders import ValuedEvent
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.ports.orders import OrderIndex
from gantry.common.runtime.order_follower import FOLLOWED, Follower
from gantry.common.runtime.sealed_events import keys, segments
from gantry.common.telemetry.logs import get_logger

_DAY_MS = 24 * 3600 * 1000
_LOOKED_AT_MS = 3 * _DAY_MS
"""Age in milliseconds beyond which values are not examined any more; by then each was, several times."""
_START_SECONDS = 60.0
_PATIENCE = 60.0
logger = get_logger("orders")


class UnnamedValues:
    """Runs in a process that follows orders; several may run at once."""

    def __init__(self, objects: BlobStore, log: EventLog, orders: OrderIndex, follower: Follower, clock: Clock) -> None:
        self._objects = objects
        self._log = log
        self._orders = orders
        self._follower = follower
        self._clock = clock

    async def run(self, every: float) -> None:
        """Run for ever: a check each `every` seconds. If one fails because of a dependency, the next one does the
        work."""
        await self._clock.sleep(min(every, _START_SECONDS))
        while True:
            try:
                await self._follower.remove_erased()
                await self.remove()
            except GantryError as error:
                logger.warning("the search for values of orders was interrupted", error=error)
            await self._clock.sleep(every)

    async def remove(self) -> int:
        """Remove values that are older than a day. Returns how many there were. Removes none while this process has not
        read the whole log. Raises `DependencyUnavailable`, `Corrupt` for a damaged segment."""
        now_ms = self._clock.now_us() // 1000
        entries = keys(self._objects, ORDER_VALUES, DEFAULT_PARTITION, now_ms - _LOOKED_AT_MS, now_ms)
        old = [key async for key, receipt in entries if receipt.milliseconds <= now_ms - _DAY_MS]
        if not old or not await self._knows_all():
            return 0
        named = await self._orders.named_objects(old)
        unnamed = await self._not_sealed([key for key in old if key not in named], now_ms)
        for key in unnamed:
            await self._objects.delete(key)
            logger.warning("values of an order that no event names were removed", key=key)
        return len(unnamed)

    async def _knows_all(self) -> bool:
        ends = {topic: await self._log.ends(topic) for topic in FOLLOWED}
        until = self._clock.monotonic() + _PATIENCE
        while not self._follower.has_read(ends):
            if self._clock.monotonic() >= until:
                return False
            await self._clock.sleep(0.1)
        return self._follower.reads_everything

    async def _not_sealed(self, unnamed: Sequence[str], now_ms: int) -> list[str]:
        """Values that no sealed event names either: a log that was lost and is not restored yet has no events."""
        if not unnamed:
            return []
        left = dict.fromkeys(unnamed)
        since = min(receipt.milliseconds for key in unnamed if (receipt := receipt_in_key(key)) is not None)
        async for segment in segments(self._objects, DEFAULT_PARTITION, since, now_ms):
            for record in segment.records:
                if record.topic in FOLLOWED:
                    left.pop(_values_key(record.payload), None)
        return list(left)


def _values_key(payload: bytes) -> str:
    try:
        event = decode(payload)
    except UndecodableEvent:
        return ""
    return event.values_key if isinstance(event, ValuedEvent) else ""
