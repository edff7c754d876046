"""Checks the size of the archive now and then, and decides whether an object may still be stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.errors import GantryError, QuotaReached
from gantry.common.ids import FOLDER_MS, Receipt
from gantry.common.ports.blobs import BlobStore
from gantry.common.runtime.quota.counts import bytes_by_folder, newest_count
from gantry.common.runtime.quota.sums import StoredSums
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.rate_limited import RateLimited

EVERY_SECONDS = 30.0
_FIRST_SECONDS = 1.0
_START_SECONDS = 10.0
_LATE_SECONDS = 3600.0
"""A count is late this long after twice the time between two counts."""
_SAID_SECONDS = 3600.0
logger = get_logger("quota")


@dataclass(frozen=True, slots=True)
class QuotaStand:
    """The limit and the usage, in bytes. `counted_at`: when the count behind it ended, in microseconds since the epoch;
    0 if nothing was counted yet, and earlier objects are not in `used`. `late`: there should be a newer count.
    `listed`: later objects are in `used`."""

    bytes: int
    used: int
    counted_at: int
    late: bool
    listed: bool


class Quota:
    """The quota of one partition, in one process."""

    def __init__(
        self, objects: BlobStore, clock: Clock, metrics: Metrics, partition: str, limit: int, counted_every: float
    ) -> None:
        """`limit` in bytes; counts begin `counted_every` seconds after the one before has ended."""
        self._objects = objects
        self._clock = clock
        self._metrics = metrics
        self._partition = partition
        self._limit = limit
        self._late_after = 2 * counted_every + _LATE_SECONDS
        self._sums = StoredSums()
        self._looked = False
        self.begun = False
        """Whether this process runs the checks."""
        self._turn = asyncio.Lock()
        self._hourly = RateLimited(_SAID_SECONDS)
        self._refusals = RateLimited()

    # ---- looking

    async def start(self) -> None:
        """Check for the first time, before the first object arrives. If that takes too long, or fails, `run` repeats
        it."""
        self.begun = True
        with suppress(GantryError, TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                await self.look()

    async def run(self) -> None:
        """Check for ever."""
        while True:
            await self._clock.sleep(EVERY_SECONDS if self._looked else _FIRST_SECONDS)
            try:
                await self.look()
            except GantryError as error:
                self._say("what is used was not found out", error=error)

    async def look(self) -> None:
        """Read the newest count, and list later objects. Raises `DependencyUnavailable`; the earlier result then stays
        valid, plus what this process stored since."""
        async with self._turn:
            count = await newest_count(self._objects)
            now = self._clock.now_us()
            if count is None:
                self._sums.begin(now)
            else:
                self._sums.counted(count)
            for first, last in self._sums.due(now):
                own = self._sums.listing(first, last)
                sizes = await bytes_by_folder(self._objects, self._partition, first, last)
                self._sums.listed(first, last, sizes, own, now)
            self._looked = True
            self._show()
            stand = self.stand()
            if not stand.counted_at:
                self._say("nothing was counted yet: what was stored before is not in what is used")
            elif stand.late:
                self._say("the count of what is stored is old: what was deleted since may still be in what is used")

    def stand(self) -> QuotaStand:
        """The current state."""
        count = self._sums.count
        counted_at = 0 if count is None else count.finished_at
        late = self._clock.now_us() - counted_at > self._late_after * 1e6
        return QuotaStand(self._limit, self._sums.used, counted_at, late, self._looked)

    # ---- deciding

    def refuses(self) -> QuotaReached | None:
        """Why nothing can be stored now; None if objects can be."""
        return None if self._sums.used < self._limit else QuotaReached()

    def fits(self, size: int) -> bool:
        """Whether an object of `size` bytes can be stored now."""
        return self._sums.used + size <= self._limit

    def reserve(self, size: int, *, beyond: bool = False) -> Callable[[Receipt | None], None]:
        """An object of `size` bytes is to be stored; raises `QuotaReached` if it does not fit, unless it may go
        `beyond`. The returned function is called once, with the object's receipt if it was stored."""
        if not beyond and not self.fits(size):
            raise QuotaReached
        self._sums.reserve(size)

        def ended(receipt: Receipt | None) -> None:
            if receipt is None:
                self._sums.release(size)
            else:
                self._sums.store(size, receipt.milliseconds // FOLDER_MS)
            self._show()

        return ended

    def refused(self, calling: str, peer: str, trace: str) -> None:
        """Count a refusal, and log it now and then."""
        self._metrics.quota_refusals.inc()
        times = self._refusals.times((calling, peer), self._clock.monotonic())
        if times:
            sender = {"calling": calling, "peer": peer, "trace": trace, "count": times}
            logger.warning("refused: the quota is reached", quota=self._limit, used=self._sums.used, **sender)

    # ---- inside

    def _show(self) -> None:
        self._metrics.quota_bytes.set(self._limit)
        self._metrics.quota_used_bytes.set(self._sums.used)

    def _say(self, words: str, **fields: object) -> None:
        if self._hourly.times((words,), self._clock.monotonic()):
            logger.warning(words, quota=self._limit, used=self._sums.used, **fields)
