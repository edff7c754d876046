"""Stores that may not be available yet: requests that need them are refused for now, and everything else works.

A store that is unavailable when the process starts is opened later, in the background. Until then each call to it
raises `DependencyUnavailable` with the reason, like a store that becomes unavailable while the process runs: a C-STORE
is answered A700H, a DICOMweb request 503, a consumer waits.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Generic, Self, TypeVar, cast

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import AttributeTable, Level
from gantry.common.dicom.query.matching import Cursor, Document, Query
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import Event
from gantry.common.lifecycle import Corrections, DeletionState, Place
from gantry.common.ports.blobs import BlobReader, BlobStat, BlobStore, BlobWriter, Buffer, Part
from gantry.common.ports.index import (
    Applied,
    CorrectedStudy,
    CorrectionChange,
    DecidedReceipt,
    Decision,
    HoldChange,
    InstanceEntry,
    InstanceKey,
    KnownReceipt,
    Location,
    Loss,
    Marks,
    OrphanedCorrections,
    Relocation,
    SearchIndex,
    StandingHolds,
    StudyAccess,
)
from gantry.common.ports.log import Consumer, EventLog, Passed, Record
from gantry.common.runtime.backoff import Delays
from gantry.common.telemetry.logs import get_logger

T = TypeVar("T", BlobStore, EventLog, SearchIndex)
_DELAYS = Delays(first=0.5, longest=10.0)
logger = get_logger("stores")


class Late(Generic[T]):
    """One store: the function that opens it, and why it is not open yet."""

    def __init__(self, name: str, open_: Callable[[], Awaitable[T]], clock: Clock) -> None:
        """`name` is the name of the dependency in errors."""
        self.name = name
        self._open: Callable[[], Awaitable[T]] = open_
        self._clock = clock
        self._store: T | None = None
        self._reason = "not open yet"

    async def first_try(self) -> T | None:
        """The store, or None if it is unavailable. Raises `ConfigError`."""
        return await self._try(attempt=0)

    async def keep_trying(self) -> None:
        """Wait until the store is open."""
        attempt = 0
        while self._store is None:
            await self._clock.sleep(_DELAYS.after(attempt))
            attempt += 1
            await self._try(attempt)

    def get(self) -> T:
        """The store. Raises `DependencyUnavailable` while it is not open."""
        if self._store is None:
            raise DependencyUnavailable(self.name, self._reason)
        return self._store

    async def close(self) -> None:
        """Close the store, if it was opened."""
        if self._store is not None:
            await self._store.close()

    async def _try(self, attempt: int) -> T | None:
        try:
            self._store = await self._open()
        except DependencyUnavailable as error:
            if error.reason != self._reason:
                logger.warning("waiting for a dependency", dependency=self.name, reason=error.reason)
            self._reason = error.reason
            return None
        if attempt:
            logger.info("store is available", dependency=self.name)
        return self._store


class LateBlobStore:
    """`BlobStore`."""

    def __init__(self, late: Late[BlobStore]) -> None:
        self._late = late

    async def put(self, key: str, parts: Sequence[Buffer]) -> None:
        await self._late.get().put(key, parts)

    def writer(self, key: str) -> BlobWriter:
        try:
            return self._late.get().writer(key)
        except DependencyUnavailable as error:
            return _NoWriter(error)

    async def open(self, key: str, offset: int = 0, length: int | None = None) -> BlobReader:
        return await self._late.get().open(key, offset, length)

    async def read(self, parts: Sequence[Part]) -> list[bytes]:
        return await self._late.get().read(parts)

    async def stat(self, key: str) -> BlobStat:
        return await self._late.get().stat(key)

    async def delete(self, key: str) -> None:
        await self._late.get().delete(key)

    async def bring_back(self, key: str) -> None:
        await self._late.get().bring_back(key)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobStat]:
        async for stat in self._late.get().list(prefix):
            yield stat

    async def sweep_unfinished(self, older_than: float) -> int:
        return await self._late.get().sweep_unfinished(older_than)

    async def check(self) -> None:
        await self._late.get().check()

    async def close(self) -> None:
        await self._late.close()


class _NoWriter:
    """A `BlobWriter` that raises on every call."""

    def __init__(self, error: DependencyUnavailable) -> None:
        self._error = error

    async def write(self, chunk: Buffer) -> None:
        raise self._error

    async def commit(self) -> None:
        raise self._error

    async def abort(self) -> None:
        return None


class LateEventLog:
    """`EventLog`."""

    def __init__(self, late: Late[EventLog]) -> None:
        self._late = late

    async def append(self, *events: Event) -> None:
        await self._late.get().append(*events)

    def consumer(self, group: str, topics: Sequence[str]) -> Consumer:
        return _LateConsumer(self._late, group, topics)

    async def replay(self, topic: str, since_us: int = 0) -> AsyncIterator[Record]:
        async for record in self._late.get().replay(topic, since_us):
            yield record

    async def lag(self, group: str) -> dict[str, int]:
        return await self._late.get().lag(group)

    async def ends(self, topic: str) -> dict[int, int]:
        return await self._late.get().ends(topic)

    async def follow(
        self, topic: str, group: str | None, after: Mapping[int, int] | None = None
    ) -> AsyncGenerator[Passed, None]:
        async with aclosing(self._late.get().follow(topic, group, after)) as following:
            async for passed in following:
                yield passed

    async def has_passed(self, group: str, topic: str, ends: Mapping[int, int]) -> bool:
        return await self._late.get().has_passed(group, topic, ends)

    async def uncommitted(self, group: str, topic: str, key: str, most: int = 5000) -> list[Record]:
        return await self._late.get().uncommitted(group, topic, key, most)

    async def last_committed(self, group: str, topic: str, most: int = 20) -> list[Record]:
        return await self._late.get().last_committed(group, topic, most)

    async def check(self) -> None:
        await self._late.get().check()

    async def close(self) -> None:
        await self._late.close()


class _LateConsumer:
    """A `Consumer` of a log that may not be open when the consumer is created."""

    def __init__(self, late: Late[EventLog], group: str, topics: Sequence[str]) -> None:
        self._late = late
        self._arguments = group, topics
        self._consumer: Consumer | None = None

    async def poll(self, max_records: int = 500) -> list[Record]:
        return await self._inner().poll(max_records)

    async def commit(self, records: Sequence[Record]) -> None:
        await self._inner().commit(records)

    async def __aenter__(self) -> Consumer:
        await self._inner().__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._consumer is not None:
            await self._consumer.__aexit__(*exc)

    def _inner(self) -> Consumer:
        if self._consumer is None:
            self._consumer = self._late.get().consumer(*self._arguments)
        return self._consumer


class LateSearchIndex:
    """`SearchIndex`."""

    def __init__(self, late: Late[SearchIndex]) -> None:
        self._late = late

    async def apply(self, entries: Sequence[InstanceEntry]) -> list[Applied]:
        return await self._late.get().apply(entries)

    async def find(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Document]]:
        async for page in self._late.get().find(query, after):
            yield page

    async def total(self, query: Query) -> int:
        return await self._late.get().total(query)

    async def place_behind(self, query: Query, count: int) -> Cursor | None:
        return await self._late.get().place_behind(query, count)

    async def locate(self, query: Query) -> AsyncIterator[list[Location]]:
        async for page in self._late.get().locate(query):
            yield page

    async def resolve(self, partition: str, sop_instance_uids: Sequence[str]) -> dict[str, list[Location]]:
        return await self._late.get().resolve(partition, sop_instance_uids)

    async def current(self, partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, Location]:
        return await self._late.get().current(partition, instances)

    async def receipts(self, partition: str, instance: InstanceKey) -> list[KnownReceipt]:
        return await self._late.get().receipts(partition, instance)

    async def receipts_of(
        self, partition: str, instances: Sequence[InstanceKey]
    ) -> dict[InstanceKey, list[KnownReceipt]]:
        return await self._late.get().receipts_of(partition, instances)

    async def lose(self, losses: Sequence[Loss]) -> None:
        await self._late.get().lose(losses)

    async def decide(self, decisions: Sequence[Decision]) -> None:
        await self._late.get().decide(decisions)

    async def deletion_states(self, partition: str, receipts: Sequence[str]) -> dict[str, DeletionState]:
        return await self._late.get().deletion_states(partition, receipts)

    async def decided_receipts(self, partition: str, receipts: Sequence[str]) -> dict[str, DecidedReceipt]:
        return await self._late.get().decided_receipts(partition, receipts)

    async def find_decided(
        self, partition: str, study_instance_uid: str = "", sop_instance_uids: Collection[str] = ()
    ) -> AsyncIterator[list[DecidedReceipt]]:
        async for page in self._late.get().find_decided(partition, study_instance_uid, sop_instance_uids):
            yield page

    async def hold(self, changes: Sequence[HoldChange]) -> None:
        await self._late.get().hold(changes)

    async def holds(self, partition: str, study_instance_uid: str) -> list[str]:
        return await self._late.get().holds(partition, study_instance_uid)

    async def held(self, partition: str, after: str = "") -> AsyncIterator[list[StandingHolds]]:
        async for page in self._late.get().held(partition, after):
            yield page

    async def correct(self, changes: Sequence[CorrectionChange]) -> None:
        await self._late.get().correct(changes)

    async def corrected(self, partition: str, study_instance_uid: str) -> CorrectedStudy | None:
        return await self._late.get().corrected(partition, study_instance_uid)

    async def orphaned_corrections(self, partition: str) -> AsyncIterator[list[OrphanedCorrections]]:
        async for page in self._late.get().orphaned_corrections(partition):
            yield page

    async def corrections(self, partition: str, study_instance_uid: str = "", patient: str = "") -> Corrections:
        return await self._late.get().corrections(partition, study_instance_uid, patient)

    async def note_accesses(self, accesses: Sequence[StudyAccess]) -> None:
        await self._late.get().note_accesses(accesses)

    async def last_access(self, partition: str, study_instance_uid: str) -> int:
        return await self._late.get().last_access(partition, study_instance_uid)

    async def relocate(self, relocations: Sequence[Relocation]) -> None:
        await self._late.get().relocate(relocations)

    async def places(self, partition: str, receipts: Sequence[str]) -> dict[str, Place]:
        return await self._late.get().places(partition, receipts)

    async def stores_of(
        self, partition: str, level: Level, uids: Collection[tuple[str, ...]], stores: Collection[str]
    ) -> dict[tuple[str, ...], frozenset[str]]:
        return await self._late.get().stores_of(partition, level, uids, stores)

    async def conflicts(self, partition: str) -> AsyncIterator[list[str]]:
        async for uids in self._late.get().conflicts(partition):
            yield uids

    async def marks_of(self, partition: str, studies: Collection[str], holders: Collection[str] = ()) -> Marks:
        return await self._late.get().marks_of(partition, studies, holders)

    async def count(self, partition: str) -> dict[str, int]:
        return await self._late.get().count(partition)

    async def attributes(self) -> AttributeTable:
        return await self._late.get().attributes()

    async def successor(self, attributes: AttributeTable) -> Self:
        # A reindex opens the index without waiting for it (`gantry.services.commands.maintenance`).
        return cast(Self, await self._late.get().successor(attributes))

    async def take_over(self) -> None:
        await self._late.get().take_over()

    async def discard(self) -> None:
        await self._late.get().discard()

    async def check(self) -> None:
        await self._late.get().check()

    async def close(self) -> None:
        await self._late.close()
