"""Whether the index holds the events that the indexers committed, and how an incomplete embedded index is refilled.

An index can be missing or older than the log while the indexers' offsets say that everything was indexed: a disk was
replaced, or a backup of objects and log was restored without it. Nothing would be indexed again, and every query would
miss instances.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import AttributeTable, Level
from gantry.common.dicom.query.matching import Cursor, Document, Query
from gantry.common.errors import DependencyUnavailable, GantryError, UndecodableEvent
from gantry.common.events import INDEXERS, TOPICS, Event, InstanceStored, decode
from gantry.common.ids import DEFAULT_PARTITION, receipt_in_key
from gantry.common.lifecycle import Corrections, DeletionState, Place
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import (
    CorrectedStudy,
    DecidedReceipt,
    InstanceKey,
    KnownReceipt,
    Location,
    Marks,
    SearchIndex,
    StandingHolds,
)
from gantry.common.ports.log import EventLog
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.services.maintenance.dead_letters import receipts_in_dead_letters
from gantry.services.maintenance.reindex import Apply, Reindex, Reindexed

_INSTANCES = TOPICS[InstanceStored].name
_BELIEVED_SECONDS = 30.0
_ON_ITS_WAY_MS = 60_000
_ANSWER_SECONDS = 5.0
_BEHIND = "it is behind what was indexed before (lost, or an older one?)"
logger = get_logger("completeness")


class Completeness:
    """Compares the index with the last events that the indexers committed."""

    def __init__(self, objects: BlobStore, log: EventLog, index: SearchIndex, clock: Clock) -> None:
        self._objects = objects
        self._log = log
        self._index = index
        self._clock = clock
        self._behind: bool | None = None
        self._looked_at = 0.0
        self._turn = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self.progress = ""
        """The progress of refilling, for the reason in errors."""

    async def check(self) -> None:
        """Raises `DependencyUnavailable` while the index is behind. A good result is trusted for a while, and checked
        again in the background, without delaying queries; so is a failed check: an unavailable log must not make the
        index unavailable."""
        old = self._clock.monotonic() - self._looked_at >= _BELIEVED_SECONDS
        if self._behind is None or self._behind:
            asked_at = self._clock.monotonic()
            async with self._turn:
                if self._behind is None or self._looked_at < asked_at:
                    await self._look()
        elif old and (self._looking is None or self._looking.done()):
            self._looking = asyncio.get_running_loop().create_task(self._look_quietly())
        if self._behind:
            raise DependencyUnavailable("index", f"{_BEHIND}: {self.progress or 'run `gantry reindex`'}")

    async def close(self) -> None:
        """Cancel a check that is running."""
        if self._looking is not None:
            await end_tasks(self._looking)

    async def _look(self) -> None:
        self._behind = await self._is_known_to_be_behind()
        self._looked_at = self._clock.monotonic()

    async def _look_quietly(self) -> None:
        try:
            await self._look()
        except GantryError as error:
            logger.warning("the completeness of the index cannot be determined", error=error)

    async def _is_known_to_be_behind(self) -> bool:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self.is_behind()
        except TimeoutError:
            return False
        except DependencyUnavailable as error:
            if error.dependency == "index":
                raise
            return False

    async def is_behind(self) -> bool:
        """Whether the index lacks one of the last committed events, dead letters excepted. If the log holds none of
        them any more, an empty index is behind if the store has objects."""
        committed = await self._committed()
        unknown: dict[str, InstanceStored] = {}
        for partition, events in committed.items():
            known = await self._index.current(partition, list(events))
            missing = {event.receipt: event for instance, event in events.items() if instance not in known}
            # A deleted instance is known by its deletion state.
            deletion_states = await self._index.deletion_states(partition, list(missing)) if missing else {}
            unknown |= {receipt: event for receipt, event in missing.items() if receipt not in deletion_states}
        if unknown:
            return bool(unknown.keys() - await receipts_in_dead_letters(self._log, unknown.keys()))
        return not committed and await self._lacks_everything()

    async def _committed(self) -> dict[str, dict[InstanceKey, InstanceStored]]:
        """By partition, the last events that the indexers committed."""
        instances: dict[str, dict[InstanceKey, InstanceStored]] = {}
        for record in await self._log.last_committed(INDEXERS, _INSTANCES):
            event = _stored(record.payload)
            if event is not None:
                key = InstanceKey(event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid)
                instances.setdefault(event.partition, {})[key] = event
        return instances

    async def _lacks_everything(self) -> bool:
        if (await self._index.count(DEFAULT_PARTITION))["instances"]:
            return False
        async for _ in self._index.find_decided(DEFAULT_PARTITION):
            return False  # all objects were deleted
        passed = await self._log.has_passed(INDEXERS, _INSTANCES, await self._log.ends(_INSTANCES))
        # If the log has no events, an indexer that has not joined will not fill the index: the log was lost, too.
        if not passed and await self._has_events():
            return False  # these events will be indexed soon
        now_ms = self._clock.now_us() // 1000
        async for stat in self._objects.list(f"objects/{DEFAULT_PARTITION}/"):
            receipt = receipt_in_key(stat.key)
            # An object that has just arrived may have no event yet.
            return receipt is not None and now_ms - receipt.milliseconds > _ON_ITS_WAY_MS
        return False

    async def _has_events(self) -> bool:
        async for _ in self._log.replay(_INSTANCES):
            return True
        return False


def _event(payload: bytes) -> Event | None:
    try:
        return decode(payload)
    except UndecodableEvent:
        return None


def _stored(payload: bytes) -> InstanceStored | None:
    event = _event(payload)
    return event if isinstance(event, InstanceStored) else None


class CompleteIndex:
    """The index for answering peers: while it is behind, it raises instead of answering "not found"."""

    def __init__(self, index: SearchIndex, completeness: Completeness) -> None:
        self._index = index
        self._completeness = completeness

    async def find(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Document]]:
        """See `SearchIndex`."""
        await self._completeness.check()
        async for page in self._index.find(query, after):
            yield page

    async def total(self, query: Query) -> int:
        """See `SearchIndex`."""
        await self._completeness.check()
        return await self._index.total(query)

    async def place_behind(self, query: Query, count: int) -> Cursor | None:
        """See `SearchIndex`."""
        await self._completeness.check()
        return await self._index.place_behind(query, count)

    async def locate(self, query: Query) -> AsyncIterator[list[Location]]:
        """See `SearchIndex`."""
        await self._completeness.check()
        async for page in self._index.locate(query):
            yield page

    async def current(self, partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, Location]:
        """See `SearchIndex`. Known instances are returned in any case."""
        known = await self._index.current(partition, instances)
        if len(known) < len(instances):
            await self._completeness.check()
        return known

    async def resolve(self, partition: str, sop_instance_uids: Sequence[str]) -> dict[str, list[Location]]:
        """See `SearchIndex`. Known instances are returned in any case."""
        known = await self._index.resolve(partition, sop_instance_uids)
        if len(known) < len(set(sop_instance_uids)):
            await self._completeness.check()
        return known

    async def receipts(self, partition: str, instance: InstanceKey) -> list[KnownReceipt]:
        """See `SearchIndex`."""
        return await self._index.receipts(partition, instance)

    async def receipts_of(
        self, partition: str, instances: Sequence[InstanceKey]
    ) -> dict[InstanceKey, list[KnownReceipt]]:
        """See `SearchIndex`."""
        return await self._index.receipts_of(partition, instances)

    async def deletion_states(self, partition: str, receipts: Sequence[str]) -> dict[str, DeletionState]:
        """See `SearchIndex`."""
        return await self._index.deletion_states(partition, receipts)

    async def decided_receipts(self, partition: str, receipts: Sequence[str]) -> dict[str, DecidedReceipt]:
        """See `SearchIndex`."""
        return await self._index.decided_receipts(partition, receipts)

    async def find_decided(
        self, partition: str, study_instance_uid: str = "", sop_instance_uids: Collection[str] = ()
    ) -> AsyncIterator[list[DecidedReceipt]]:
        """See `SearchIndex`."""
        await self._completeness.check()
        async for page in self._index.find_decided(partition, study_instance_uid, sop_instance_uids):
            yield page

    async def holds(self, partition: str, study_instance_uid: str) -> list[str]:
        """See `SearchIndex`."""
        await self._completeness.check()
        return await self._index.holds(partition, study_instance_uid)

    async def held(self, partition: str, after: str = "") -> AsyncIterator[list[StandingHolds]]:
        """See `SearchIndex`."""
        await self._completeness.check()
        async for page in self._index.held(partition, after):
            yield page

    async def corrected(self, partition: str, study_instance_uid: str) -> CorrectedStudy | None:
        """See `SearchIndex`."""
        await self._completeness.check()
        return await self._index.corrected(partition, study_instance_uid)

    async def corrections(self, partition: str, study_instance_uid: str = "", patient: str = "") -> Corrections:
        """See `SearchIndex`."""
        await self._completeness.check()
        return await self._index.corrections(partition, study_instance_uid, patient)

    async def last_access(self, partition: str, study_instance_uid: str) -> int:
        """See `SearchIndex`."""
        await self._completeness.check()
        return await self._index.last_access(partition, study_instance_uid)

    async def conflicts(self, partition: str) -> AsyncIterator[list[str]]:
        """See `SearchIndex`."""
        await self._completeness.check()
        async for page in self._index.conflicts(partition):
            yield page

    async def places(self, partition: str, receipts: Sequence[str]) -> dict[str, Place]:
        """See `SearchIndex`."""
        await self._completeness.check()
        return await self._index.places(partition, receipts)

    async def stores_of(
        self, partition: str, level: Level, uids: Collection[tuple[str, ...]], stores: Collection[str]
    ) -> dict[tuple[str, ...], frozenset[str]]:
        """See `SearchIndex`."""
        await self._completeness.check()
        return await self._index.stores_of(partition, level, uids, stores)

    async def marks_of(self, partition: str, studies: Collection[str], holders: Collection[str] = ()) -> Marks:
        """See `SearchIndex`."""
        await self._completeness.check()
        return await self._index.marks_of(partition, studies, holders)

    async def count(self, partition: str) -> dict[str, int]:
        """See `SearchIndex`."""
        await self._completeness.check()
        return await self._index.count(partition)

    async def attributes(self) -> AttributeTable:
        """See `SearchIndex`."""
        return await self._index.attributes()


class Refill:
    """Refills an index that is behind, from the bucket and the log, in the background; for an index of one process."""

    def __init__(
        self,
        completeness: Completeness,
        objects: BlobStore,
        log: EventLog,
        index: SearchIndex,
        applying: Callable[[SearchIndex], Apply],
        clock: Clock,
        attributes: AttributeTable,
    ) -> None:
        self._completeness = completeness
        self._index = index
        self._clock = clock
        self._reindex = Reindex(objects, log, index, applying, clock, attributes)

    async def run(self) -> None:
        """Run for ever. A run that fails because of a dependency is repeated."""
        while True:
            try:
                if await self._completeness.is_behind():
                    await self._fill()
            except GantryError as error:
                logger.warning("the index is not filled yet", error=error)
            await self._clock.sleep(_BELIEVED_SECONDS)

    async def _fill(self) -> None:
        logger.warning("the index is behind what was indexed before; it is rebuilt")
        self._completeness.progress = "it is being rebuilt"
        try:
            done = await self._reindex.run(True, self._show)
        finally:
            self._completeness.progress = ""
        logger.warning("index rebuilt", instances=done.instances, facts=done.facts, seconds=round(done.seconds, 1))

    def _show(self, done: Reindexed) -> None:
        self._completeness.progress = f"it is being rebuilt, {done.facts} events applied"
