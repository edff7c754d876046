"""The counts in the object store, so that weeks survive a restart and several doors add up.

state/shadow/DAY/DOOR.json: what one process of the door counted on one day (UTC), replaced as it grows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

from gantry.common.clock import Clock
from gantry.common.errors import GantryError, NotFound
from gantry.common.ids import Receipt
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.rate_limited import RateLimited
from gantry.services.frontdoor.shadow.recording import Recorder
from gantry.services.frontdoor.shadow.spooling.spool import ShadowSpool
from gantry.services.frontdoor.shadow.tally import ComparisonTally, Waiting

logger = get_logger("shadow")
ROOT = "state/shadow/"
SAVE_SECONDS = 15.0
_DAY_US = 24 * 3600 * 1_000_000


class Keeper:
    """Saves the counts of a recorder."""

    def __init__(
        self,
        open_store: Callable[[], Awaitable[BlobStore]],
        recorder: Recorder,
        clock: Clock,
        keep_days: int,
        door: str = "",
        spool: ShadowSpool | None = None,
    ) -> None:
        """Counts older than `keep_days` are removed. `door` is the name of this process of the door."""
        self._open = open_store
        self._recorder = recorder
        self._clock = clock
        self._keep_days = keep_days
        self._store: BlobStore | None = None
        self._door = door or Receipt.at(clock.now_us()).id
        self._spool = spool
        self._waited = 0
        self._tidied = ""
        self._seldom = RateLimited()

    async def run(self) -> None:
        """Save at intervals, for ever."""
        while True:
            await self._clock.sleep(SAVE_SECONDS)
            await self.save()

    async def save(self) -> None:
        """Save the changed counts. If the store is away, that is logged, and they are saved the next time."""
        recorder = self._recorder
        today = _day(self._clock.now_us())
        self._tell_what_waits()
        try:
            if recorder.unsaved or today != self._tidied:
                store = await self._opened()
                for day in sorted(recorder.unsaved):
                    recorder.unsaved.discard(day)
                    try:
                        await store.put(f"{ROOT}{day}/{self._door}.json", [recorder.days[day].to_json()])
                    except BaseException:
                        recorder.unsaved.add(day)
                        raise
                for day in [day for day in recorder.days if day != today and day not in recorder.unsaved]:
                    del recorder.days[day]
                await self._tidy(store, today)
        except GantryError as error:
            self._tell(str(error))
        except Exception as error:
            # Peers must be served even if the counts cannot be saved.
            self._tell(type(error).__name__)

    def _tell_what_waits(self) -> None:
        """Record what waits in the spool: while something waits, and once when it is empty again."""
        spool = self._spool
        if spool is None or not (spool.objects or self._waited):
            return
        self._waited = spool.objects
        now = self._clock.now_us()
        self._recorder.waits(Waiting(self._door, now, spool.objects, spool.used, spool.oldest))

    def _tell(self, why: str) -> None:
        times = self._seldom.times(("not saved", why), self._clock.monotonic())
        if times:
            logger.warning("comparisons were not saved", why=why, count=times)

    async def close(self) -> None:
        """Save once more, and close the store."""
        await self.save()
        store, self._store = self._store, None
        if store is not None:
            await store.close()

    async def _opened(self) -> BlobStore:
        if self._store is None:
            self._store = await self._open()
        return self._store

    async def _tidy(self, store: BlobStore, today: str) -> None:
        if self._tidied == today:
            return
        oldest = _day(self._clock.now_us() - self._keep_days * _DAY_US)
        for key in [stat.key async for stat in store.list(ROOT)]:
            if key.removeprefix(ROOT)[:10] < oldest:
                await store.delete(key)
        self._tidied = today


async def saved(store: BlobStore, since: str = "") -> AsyncIterator[ComparisonTally]:
    """The counts of all doors, from the day `since` on (`2026-11-29`). Raises `DependencyUnavailable`."""
    for key in [stat.key async for stat in store.list(ROOT)]:
        if key.removeprefix(ROOT)[:10] < since:
            continue
        try:
            yield ComparisonTally.from_json(await read_whole(store, key))
        except (NotFound, ValueError):
            continue  # removed meanwhile, or of another release


def _day(now_us: int) -> str:
    return datetime.fromtimestamp(now_us / 1e6, UTC).strftime("%Y-%m-%d")
