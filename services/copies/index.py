"""The index for visitors of a link to de-identified copies: it has these copies and nothing else.

It is made at the first request, in a file of this process. Copies whose original is no longer in the archive (deleted,
rejected, replaced) are not in it: that is checked every two seconds while there are requests.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from gantry.common.access import EVERYTHING, SIGHT, restricted
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import AttributeTable, Level
from gantry.common.dicom.query.matching import Cursor, Document, Query, UidList
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import Corrupt, DependencyUnavailable, NotFound
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle import Corrections, DeletionState, Place
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.ports.index import (
    CorrectedStudy,
    DecidedReceipt,
    InstanceEntry,
    InstanceKey,
    KnownReceipt,
    Location,
    Marks,
    ReadIndex,
    SearchIndex,
    StandingHolds,
)
from gantry.common.runtime.followed_shares import FollowedShares
from gantry.common.tasks import end_tasks
from gantry.services.copies.manifest import Copy, manifest_key, unpack
from gantry.services.indexer.heads import entries_of

_FRESH_SECONDS = 2.0
_MOST_OPEN = 8
"""Most links whose indices a process has open."""
_AT_ONCE = 500
"""Copies that are added to an index together."""
_RETIRED_SECONDS = 60.0
"""Seconds that requests on a replaced index have to end."""
OpenIndex = Callable[[Path], Awaitable[SearchIndex]]


@dataclass(slots=True, eq=False)
class _Side:
    """The copies of one link, and the index of those still valid."""

    copies: list[Copy]
    index: SearchIndex | None = None
    folder: TemporaryDirectory[str] | None = None
    standing: frozenset[str] = frozenset()
    checked: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class CopiesIndex:
    """`ReadIndex`: the underlying one, except for visitors of a link to copies."""

    def __init__(
        self,
        index: ReadIndex,
        objects: BlobStore,
        followed: FollowedShares,
        open_index: OpenIndex,
        attributes: AttributeTable,
        clock: Clock,
    ) -> None:
        """`open_index` makes an empty index in a file."""
        self._index = index
        self._objects = objects
        self._followed = followed
        self._open_index = open_index
        self._attributes = attributes
        self._clock = clock
        self._sides: OrderedDict[str, _Side] = OrderedDict()
        self._retiring: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Close the indices of links."""
        await end_tasks(*self._retiring)
        while self._sides:
            _, side = self._sides.popitem()
            await _close(side.index, side.folder)

    async def _index_of_requester(self) -> ReadIndex:
        """The index for the current requester. Raises `DependencyUnavailable`."""
        share = SIGHT.get().copies
        return self._index if not share else await self._of(share)

    async def _of(self, share: str) -> ReadIndex:
        side = self._sides.get(share)
        if side is None:
            side = self._sides.setdefault(share, _Side(await self._copies(share)))
        self._sides.move_to_end(share)
        async with side.lock:
            if side.index is None or self._clock.monotonic() - side.checked > _FRESH_SECONDS:
                checked = self._clock.monotonic()
                standing = await self._standing(share, side)
                if side.index is None or standing != side.standing:
                    await self._make(side, standing)
                side.checked = checked
            index = side.index
        while len(self._sides) > _MOST_OPEN:
            _, oldest = self._sides.popitem(last=False)
            self._retire(oldest)
        assert index is not None
        return index

    async def _copies(self, share: str) -> list[Copy]:
        try:
            return await asyncio.to_thread(unpack, await read_whole(self._objects, manifest_key(share)))
        except (NotFound, Corrupt) as error:
            raise DependencyUnavailable("share links", "what this link shows cannot be read") from error

    async def _standing(self, share: str, side: _Side) -> frozenset[str]:
        """The keys of copied objects that the archive still has."""
        known = (await self._followed.current()).named(share)
        if known is None or known.created is None:
            return frozenset()
        query = Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: UidList(known.created.copies_of)})
        with restricted(EVERYTHING):
            keys = {location.object_key async for page in self._index.locate(query) for location in page}
        return frozenset(copy.origin for copy in side.copies if copy.origin in keys)

    async def _make(self, side: _Side, standing: frozenset[str]) -> None:
        events = [copy.stored for copy in side.copies if copy.origin in standing]
        folder = await asyncio.to_thread(TemporaryDirectory[str], prefix="gantry-link-", ignore_cleanup_errors=True)
        try:
            index = await self._open_index(Path(folder.name) / "index.db")
            for begin in range(0, len(events), _AT_ONCE):
                entries = await entries_of(self._objects, events[begin : begin + _AT_ONCE], self._attributes)
                await index.apply([entry for entry in entries if isinstance(entry, InstanceEntry)])
        except BaseException:
            folder.cleanup()
            raise
        self._retire(side)
        side.index, side.folder, side.standing = index, folder, standing

    def _retire(self, side: _Side) -> None:
        """Close the index of a link when those that ask it have ended."""
        if side.index is not None:
            task = asyncio.create_task(self._close_later(side.index, side.folder))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def _close_later(self, index: SearchIndex, folder: TemporaryDirectory[str] | None) -> None:
        try:
            await self._clock.sleep(_RETIRED_SECONDS)
        finally:
            await _close(index, folder)

    # ---- as `ReadIndex`

    async def find(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Document]]:
        """See `SearchIndex`."""
        async for page in (await self._index_of_requester()).find(query, after):
            yield page

    async def total(self, query: Query) -> int:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).total(query)

    async def place_behind(self, query: Query, count: int) -> Cursor | None:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).place_behind(query, count)

    async def locate(self, query: Query) -> AsyncIterator[list[Location]]:
        """See `SearchIndex`."""
        async for page in (await self._index_of_requester()).locate(query):
            yield page

    async def current(self, partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, Location]:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).current(partition, instances)

    async def resolve(self, partition: str, sop_instance_uids: Sequence[str]) -> dict[str, list[Location]]:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).resolve(partition, sop_instance_uids)

    async def receipts(self, partition: str, instance: InstanceKey) -> list[KnownReceipt]:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).receipts(partition, instance)

    async def receipts_of(
        self, partition: str, instances: Sequence[InstanceKey]
    ) -> dict[InstanceKey, list[KnownReceipt]]:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).receipts_of(partition, instances)

    async def deletion_states(self, partition: str, receipts: Sequence[str]) -> dict[str, DeletionState]:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).deletion_states(partition, receipts)

    async def decided_receipts(self, partition: str, receipts: Sequence[str]) -> dict[str, DecidedReceipt]:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).decided_receipts(partition, receipts)

    async def find_decided(
        self, partition: str, study_instance_uid: str = "", sop_instance_uids: Collection[str] = ()
    ) -> AsyncIterator[list[DecidedReceipt]]:
        """See `SearchIndex`."""
        async for page in (await self._index_of_requester()).find_decided(
            partition, study_instance_uid, sop_instance_uids
        ):
            yield page

    async def holds(self, partition: str, study_instance_uid: str) -> list[str]:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).holds(partition, study_instance_uid)

    async def held(self, partition: str, after: str = "") -> AsyncIterator[list[StandingHolds]]:
        """See `SearchIndex`."""
        async for page in (await self._index_of_requester()).held(partition, after):
            yield page

    async def corrected(self, partition: str, study_instance_uid: str) -> CorrectedStudy | None:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).corrected(partition, study_instance_uid)

    async def corrections(self, partition: str, study_instance_uid: str = "", patient: str = "") -> Corrections:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).corrections(partition, study_instance_uid, patient)

    async def last_access(self, partition: str, study_instance_uid: str) -> int:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).last_access(partition, study_instance_uid)

    async def conflicts(self, partition: str) -> AsyncIterator[list[str]]:
        """See `SearchIndex`."""
        async for page in (await self._index_of_requester()).conflicts(partition):
            yield page

    async def places(self, partition: str, receipts: Sequence[str]) -> dict[str, Place]:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).places(partition, receipts)

    async def stores_of(
        self, partition: str, level: Level, uids: Collection[tuple[str, ...]], stores: Collection[str]
    ) -> dict[tuple[str, ...], frozenset[str]]:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).stores_of(partition, level, uids, stores)

    async def marks_of(self, partition: str, studies: Collection[str], holders: Collection[str] = ()) -> Marks:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).marks_of(partition, studies, holders)

    async def count(self, partition: str) -> dict[str, int]:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).count(partition)

    async def attributes(self) -> AttributeTable:
        """See `SearchIndex`."""
        return await (await self._index_of_requester()).attributes()


async def _close(index: SearchIndex | None, folder: TemporaryDirectory[str] | None) -> None:
    if index is not None:
        await index.close()
    if folder is not None:
        folder.cleanup()
