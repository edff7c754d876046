"""An index that holds, for each view, an archive in which the rejections that the view shows never happened.

Each view is a partition beside that of the archive: what is applied to the archive is applied to each of its views,
except the rejections that the view shows. So all answers of a view (matches, pages, orders, counts, positions) are
those of an ordinary archive, and agree. `VIEW` is the view of the current request.

A view is only as complete as the events applied to it. An index that was empty when the view was added, or was rebuilt
since then, is marked as complete for it; until then, requesters with the view see what all others see.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Self, TypeVar
from uuid import uuid4

from gantry.common.access.views import VIEW, Views
from gantry.common.dicom.query.attributes import AttributeTable, Level
from gantry.common.dicom.query.matching import Cursor, Document, Query
from gantry.common.errors import EntryRefused
from gantry.common.lifecycle import Corrections, DeletionState, Place
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
from gantry.common.telemetry.logs import get_logger

MARKS = "~"
"""The partition of the marks: a hold on the name of a view means that it is complete."""
Change = TypeVar("Change", bound=InstanceEntry | Loss | HoldChange | CorrectionChange | StudyAccess | Relocation)
logger = get_logger("index")


def partition_of(partition: str, view: str, codes: Iterable[str]) -> str:
    """The partition of a view; different codes make a different view."""
    return f"{partition}~{view}~{'+'.join(sorted(codes))}"


class ViewedIndex:
    """`SearchIndex`."""

    def __init__(self, index: SearchIndex, views: Views) -> None:
        self._index = index
        self._views = views
        self._whole: set[str] = set()
        """Views that are known to be complete."""
        self._marked = False
        """Whether marks of former views were removed."""

    # ---- queries

    async def find(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Document]]:
        """See `SearchIndex`, as all others here."""
        async for page in self._index.find(await self._query(query), after):
            yield page

    async def total(self, query: Query) -> int:
        return await self._index.total(await self._query(query))

    async def place_behind(self, query: Query, count: int) -> Cursor | None:
        return await self._index.place_behind(await self._query(query), count)

    async def locate(self, query: Query) -> AsyncIterator[list[Location]]:
        async for page in self._index.locate(await self._query(query)):
            yield page

    async def resolve(self, partition: str, sop_instance_uids: Sequence[str]) -> dict[str, list[Location]]:
        return await self._index.resolve(await self._partition_in_view(partition), sop_instance_uids)

    async def current(self, partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, Location]:
        return await self._index.current(await self._partition_in_view(partition), instances)

    async def receipts(self, partition: str, instance: InstanceKey) -> list[KnownReceipt]:
        return await self._index.receipts(await self._partition_in_view(partition), instance)

    async def receipts_of(
        self, partition: str, instances: Sequence[InstanceKey]
    ) -> dict[InstanceKey, list[KnownReceipt]]:
        return await self._index.receipts_of(await self._partition_in_view(partition), instances)

    async def deletion_states(self, partition: str, receipts: Sequence[str]) -> dict[str, DeletionState]:
        return await self._index.deletion_states(await self._partition_in_view(partition), receipts)

    async def decided_receipts(self, partition: str, receipts: Sequence[str]) -> dict[str, DecidedReceipt]:
        return await self._index.decided_receipts(await self._partition_in_view(partition), receipts)

    async def find_decided(
        self, partition: str, study_instance_uid: str = "", sop_instance_uids: Collection[str] = ()
    ) -> AsyncIterator[list[DecidedReceipt]]:
        partition = await self._partition_in_view(partition)
        async for page in self._index.find_decided(partition, study_instance_uid, sop_instance_uids):
            yield page

    async def holds(self, partition: str, study_instance_uid: str) -> list[str]:
        return await self._index.holds(await self._partition_in_view(partition), study_instance_uid)

    async def held(self, partition: str, after: str = "") -> AsyncIterator[list[StandingHolds]]:
        async for page in self._index.held(await self._partition_in_view(partition), after):
            yield page

    async def corrected(self, partition: str, study_instance_uid: str) -> CorrectedStudy | None:
        return await self._index.corrected(await self._partition_in_view(partition), study_instance_uid)

    async def corrections(self, partition: str, study_instance_uid: str = "", patient: str = "") -> Corrections:
        return await self._index.corrections(await self._partition_in_view(partition), study_instance_uid, patient)

    async def last_access(self, partition: str, study_instance_uid: str) -> int:
        return await self._index.last_access(await self._partition_in_view(partition), study_instance_uid)

    async def conflicts(self, partition: str) -> AsyncIterator[list[str]]:
        async for page in self._index.conflicts(await self._partition_in_view(partition)):
            yield page

    async def places(self, partition: str, receipts: Sequence[str]) -> dict[str, Place]:
        return await self._index.places(await self._partition_in_view(partition), receipts)

    async def stores_of(
        self, partition: str, level: Level, uids: Collection[tuple[str, ...]], stores: Collection[str]
    ) -> dict[tuple[str, ...], frozenset[str]]:
        return await self._index.stores_of(await self._partition_in_view(partition), level, uids, stores)

    async def marks_of(self, partition: str, studies: Collection[str], holders: Collection[str] = ()) -> Marks:
        return await self._index.marks_of(await self._partition_in_view(partition), studies, holders)

    async def count(self, partition: str) -> dict[str, int]:
        return await self._index.count(await self._partition_in_view(partition))

    async def attributes(self) -> AttributeTable:
        return await self._index.attributes()

    async def orphaned_corrections(self, partition: str) -> AsyncIterator[list[OrphanedCorrections]]:
        async for page in self._index.orphaned_corrections(partition):
            yield page

    # ---- events

    async def apply(self, entries: Sequence[InstanceEntry]) -> list[Applied]:
        await self._take_marks_away()
        try:
            # The archive's own come last: a view never shows less than the archive does.
            applied = await self._index.apply(self._all(entries))
        except EntryRefused as error:
            reason = str(error).partition(": ")[2]
            raise EntryRefused(error.position % len(entries), reason) from error
        return applied[len(applied) - len(entries) :]

    async def lose(self, losses: Sequence[Loss]) -> None:
        await self._index.lose(self._all(losses))

    async def decide(self, decisions: Sequence[Decision]) -> None:
        await self._take_marks_away()
        shown = [
            replace(decision, partition=partition_of(decision.partition, view, codes), deletion_state=deletion_state)
            for view, codes in self._views.items()
            for decision in decisions
            if (deletion_state := _without(decision.deletion_state, codes)) is not None
        ]
        await self._index.decide([*shown, *decisions])

    async def hold(self, changes: Sequence[HoldChange]) -> None:
        await self._index.hold(self._all(changes))

    async def correct(self, changes: Sequence[CorrectionChange]) -> None:
        await self._index.correct(self._all(changes))

    async def note_accesses(self, accesses: Sequence[StudyAccess]) -> None:
        await self._index.note_accesses(self._all(accesses))

    async def relocate(self, relocations: Sequence[Relocation]) -> None:
        await self._index.relocate(self._all(relocations))

    # ---- the index itself

    async def successor(self, attributes: AttributeTable) -> Self:
        made = type(self)(await self._index.successor(attributes), self._views)
        await made.mark_whole()
        return made

    async def take_over(self) -> None:
        await self._index.take_over()

    async def discard(self) -> None:
        await self._index.discard()

    async def check(self) -> None:
        await self._index.check()

    async def close(self) -> None:
        await self._index.close()

    async def begin(self, partition: str) -> None:
        """Mark the views as complete if nothing was applied to the index yet. Returns those that are not."""
        missing = [view for view in self._views if not await self._is_whole(view)]
        if missing and not any((await self._index.count(partition)).values()):
            await self.mark_whole()
        elif missing:
            logger.warning("views are not built: run `gantry reindex`", views=", ".join(missing))

    async def mark_whole(self) -> None:
        """Mark all views as complete: from now on everything is applied to them. Marks have names, since a released
        hold is released for ever."""
        await self._index.hold([HoldChange(MARKS, self._mark(view), uuid4().hex, True) for view in self._views])

    # ---- inside

    def _mark(self, view: str) -> str:
        return partition_of("", view, self._views[view])

    async def _is_whole(self, view: str) -> bool:
        if view not in self._whole and await self._index.holds(MARKS, self._mark(view)):
            self._whole.add(view)
        return view in self._whole

    async def _take_marks_away(self) -> None:
        """Events applied here do not reach views that are not named here: these are no longer complete."""
        if self._marked:
            return
        named = {self._mark(view) for view in self._views}
        async for page in self._index.held(MARKS):
            gone = [standing for standing in page if standing.holder not in named]
            holds = [(standing.holder, hold) for standing in gone for hold in standing.holds]
            await self._index.hold([HoldChange(MARKS, holder, hold, False) for holder, hold in holds])
        self._marked = True

    async def _partition_in_view(self, partition: str) -> str:
        view = VIEW.get()
        if view in self._views and await self._is_whole(view):
            return partition_of(partition, view, self._views[view])
        return partition

    async def _query(self, query: Query) -> Query:
        partition = await self._partition_in_view(query.partition)
        return query if partition == query.partition else replace(query, partition=partition)

    def _all(self, changes: Sequence[Change]) -> list[Change]:
        """Each view, and then the archive."""
        shown: list[Change] = []
        for view, codes in self._views.items():
            shown += [replace(change, partition=partition_of(change.partition, view, codes)) for change in changes]
        return [*shown, *changes]


def _without(deletion_state: DeletionState, codes: Collection[str]) -> DeletionState | None:
    """A deletion state without the rejections that a view shows; None if nothing else was decided."""
    left = frozenset(deletion for deletion in deletion_state.deletions if deletion.code not in codes)
    if not left and not deletion_state.collected and deletion_state.deletions:
        return None
    return replace(deletion_state, deletions=left)
