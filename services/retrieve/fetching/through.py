"""A study is fetched once for all requests that wait for it, by whichever process was asked first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from gantry.common.access import EVERYTHING, SIGHT, restricted
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import DependencyUnavailable
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import ReadIndex
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.retrieve.fetching.holders import NOTHING, Holder, Lack, in_order, lack_of
from gantry.services.retrieve.fetching.record import FetchRecord, FetchRecords
from gantry.services.retrieve.fetching.sending import Archives, MoveResult
from gantry.services.retrieve.unindexed import Locating

_LEASE_US = 30_000_000
_RENEWED_SECONDS = 10.0
_LOOKED_SECONDS = 0.5
_GROWS_SECONDS = 20.0
"""Seconds without new objects here, after the archive has sent everything, before the fetch counts as finished."""
_AGAIN_SECONDS = 60.0
"""Seconds before this process retries a fetch that was incomplete."""
_MOST_KNOWN = 10_000
logger = get_logger("federation")


class FetchThrough:
    """Brings studies here that are in other archives."""

    def __init__(
        self,
        archives: Archives,
        records: FetchRecords,
        located: Locating,
        index: ReadIndex,
        is_federated: Callable[[str], bool],
        clock: Clock,
        metrics: Metrics,
        *,
        deadline: float,
        at_once: int,
    ) -> None:
        """`located` finds objects that are stored, also if the index does not know them yet. `deadline` of one fetch in
        seconds; `at_once` fetches run in this process, further ones wait."""
        self._archives = archives
        self._records = records
        self._located = located
        self._index = index
        self._is_federated = is_federated
        self._clock = clock
        self._metrics = metrics
        self._deadline = deadline
        self._slots = asyncio.Semaphore(at_once)
        self._under_way: dict[str, asyncio.Task[Lack]] = {}
        self._failed: dict[str, tuple[float, Lack]] = {}

    def is_for(self, calling_ae_title: str) -> bool:
        """Whether the retrievals of a peer fetch through: the policy allows it, the peer sees every study, and is not
        one of the archives (two archives that fetch from each other would never end)."""
        calling = calling_ae_title.strip()
        return calling not in self._archives and self._is_federated(calling) and self.is_seen

    @property
    def is_seen(self) -> bool:
        """Whether the current requester sees every study, and not copies of some."""
        sight = SIGHT.get()
        return sight.whole and not sight.copies

    async def bring(self, study: str, trace: str) -> Lack:
        """Wait until a study is here, or as much of it as is available. Returns what is lacking. The fetch continues if
        a caller stops waiting. Raises `DependencyUnavailable`."""
        under_way = self._under_way.get(study)
        if under_way is None:
            is_here = await self._records.read(study) is None and await self._count(study) > 0
            if is_here or await self._is_hidden(study):
                return NOTHING
            until, lack = self._failed.get(study, (0.0, NOTHING))
            if self._clock.monotonic() < until:
                return lack
            under_way = self._under_way.get(study) or self._begin(study, trace)
        return await asyncio.shield(under_way)

    def _begin(self, study: str, trace: str) -> asyncio.Task[Lack]:
        task = self._under_way[study] = asyncio.create_task(self._fetch(study, trace))

        def ended(_: asyncio.Task[Lack]) -> None:
            del self._under_way[study]
            if not task.cancelled() and task.exception() is not None:
                logger.warning("a study was not fetched", study=study, error=task.exception())

        task.add_done_callback(ended)
        return task

    async def close(self) -> None:
        """End the fetches under way: their records mark the studies as incomplete."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(self, study: str, trace: str) -> Lack:
        with restricted(EVERYTHING):
            async with self._slots:
                lack = await self._fetched(study, trace)
        self._failed.pop(study, None)
        if lack.instances:
            self._failed[study] = (self._clock.monotonic() + _AGAIN_SECONDS, lack)
            if len(self._failed) > _MOST_KNOWN:
                del self._failed[next(iter(self._failed))]
        return lack

    async def _fetched(self, study: str, trace: str) -> Lack:
        begun = self._clock.monotonic()
        while (record := await self._records.read(study)) is not None and record.until > self._clock.now_us():
            # Another process is fetching it.
            if self._clock.monotonic() - begun > self._deadline:
                return Lack(1, "another process did not fetch it in time")
            await self._clock.sleep(_LOOKED_SECONDS)
        if await self._is_hidden(study):
            await self._records.remove(study)
            return NOTHING
        if record is None and await self._count(study):
            return NOTHING
        holders, silent = await self._archives.holders(study, trace)
        count = await self._count(study)
        if not holders:
            lacking = 0 if record is None else max(1, record.instances - count)
            if silent:
                return Lack(max(1, lacking), f"{', '.join(silent)} did not say whether it has it")
            return Lack(lacking, "no other archive has the rest of it any more" if lacking else "")
        return await self._from(in_order(holders), study, trace, record.instances if record else 0)

    async def _from(self, holders: list[Holder], study: str, trace: str, known: int) -> Lack:
        """Ask one archive after another to send it, until it is complete here."""
        total = holders[0].instances or known
        lack = NOTHING
        for holder in holders:
            sent = await self._sent(holder, study, trace, total)
            count = await self._arrived(study, max(total, sent.moved) if not sent.why else 0)
            lack = Lack(lack_of(count, total, sent.moved, not sent.why), sent.why or f"{holder.ae_title}: not all came")
            outcome = "fetched" if not lack.instances else "part" if count else "failed"
            self._metrics.federated_fetches.labels(holder.ae_title, outcome).inc()
            self._say(holder, study, count, lack)
            if not lack.instances:
                await self._records.remove(study)
                return NOTHING
            if count == 0 and holder is holders[-1]:
                # Nothing arrived, so there is no part to be mistaken for the whole study.
                await self._records.remove(study)
        if await self._count(study):
            await self._records.write(study, FetchRecord(0, total, holders[0].ae_title))
        return lack

    def _say(self, holder: Holder, study: str, count: int, lack: Lack) -> None:
        fields = {"archive": holder.ae_title, "study": study, "instances": count}
        if lack.instances:
            logger.warning("a study was not fetched whole", lacking=lack.instances, why=lack.why, **fields)
        else:
            logger.info("a study was fetched from another archive", **fields)

    async def _sent(self, holder: Holder, study: str, trace: str, total: int) -> MoveResult:
        renewing = asyncio.create_task(self._renew(study, holder, total))
        try:
            await self._lease(study, holder, total)
            async with asyncio.timeout(self._deadline):
                return await self._archives.send(holder, study, trace)
        except TimeoutError:
            return MoveResult(why=f"{holder.ae_title}: it took longer than {self._deadline:g} s")
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _renew(self, study: str, holder: Holder, total: int) -> None:
        while True:
            await self._clock.sleep(_RENEWED_SECONDS)
            with suppress(DependencyUnavailable):
                await self._lease(study, holder, total)

    async def _lease(self, study: str, holder: Holder, total: int) -> None:
        await self._records.write(study, FetchRecord(self._clock.now_us() + _LEASE_US, total, holder.ae_title))

    async def _arrived(self, study: str, wanted: int) -> int:
        """Wait until `wanted` instances are found here, while their number grows. Returns it."""
        count, since = await self._count(study), self._clock.monotonic()
        while count < wanted and self._clock.monotonic() - since < _GROWS_SECONDS:
            await self._clock.sleep(_LOOKED_SECONDS)
            now = await self._count(study)
            if now > count:
                count, since = now, self._clock.monotonic()
        return count

    async def _is_hidden(self, study: str) -> bool:
        """Whether part of a study was deleted or rejected here: that is not fetched again."""
        with restricted(EVERYTHING):
            async for page in self._index.find_decided(DEFAULT_PARTITION, study):
                if any(receipt.deletion_state.hidden for receipt in page):
                    return True
        return False

    async def _count(self, study: str) -> int:
        query = Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))})
        return sum([len(page) async for page in self._located.locate(query)])
