"""The search index on SQLite: one thread writes, a few read, all off the event loop. Several processes may share it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path as FilePath
from typing import TypeVar

from gantry.common.adapters.below_study import in_order
from gantry.common.adapters.sqlite.database import Readers, Work, Writer
from gantry.common.adapters.sqlite.index import corrected, decided, marks, ordered, orphaned, places
from gantry.common.adapters.sqlite.index import rows as rows
from gantry.common.adapters.sqlite.index.aggregates import fill_orders
from gantry.common.adapters.sqlite.index.apply import apply, decide, lose
from gantry.common.adapters.sqlite.index.cursors import FROM_THE_BEGINNING, Resumed, resumed
from gantry.common.adapters.sqlite.index.effects import corrections_of
from gantry.common.adapters.sqlite.index.paths import Path, path_of_studies, patient_path, uids_of
from gantry.common.adapters.sqlite.index.rows import Page, Row, RowCursor
from gantry.common.adapters.sqlite.index.schema import attributes_of, create
from gantry.common.adapters.sqlite.index.successor import remove, successor_of, take_over
from gantry.common.adapters.sqlite.index.totals import place_behind, total
from gantry.common.dicom.query.attributes import STANDARD, AttributeTable, Level
from gantry.common.dicom.query.matching import Cursor as Mark
from gantry.common.dicom.query.matching import Document, Predicate, Query, matcher, narrowing
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_INSTANCE_UID
from gantry.common.errors import DependencyUnavailable
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
    StandingHolds,
    StudyAccess,
)

T = TypeVar("T")
_DEPENDENCY = "index"
_PAGE = 500
_AT_ONCE = 5000


class SqliteIndex:
    """A `SearchIndex` in one file. `open` it before use."""

    def __init__(
        self,
        path: FilePath,
        readers: int = 2,
        replaces: FilePath | None = None,
        attributes: AttributeTable = STANDARD,
    ) -> None:
        """`replaces` is the file of the index that this one will replace; `attributes` are those of a new file."""
        self._path = path
        self._attributes = attributes
        self._replaces = replaces
        self._threads = readers
        self._writer: Writer | None = None
        self._readers: Readers | None = None
        self._damage = ""

    async def open(self) -> SqliteIndex:
        """Open the file, creating it and its folder if they are missing."""
        await asyncio.to_thread(self._path.parent.mkdir, 0o750, parents=True, exist_ok=True)
        self._writer = await asyncio.to_thread(Writer, self._path, _DEPENDENCY)
        await self._writer.run(lambda connection: create(connection, self._attributes, fill_orders))
        self._readers = Readers(self._path, _DEPENDENCY, self._threads)
        return self

    async def close(self) -> None:
        """Finish the queued work, and close the file."""
        writer, self._writer = self._writer, None
        readers, self._readers = self._readers, None
        if readers is not None:
            await asyncio.to_thread(readers.close)
        if writer is not None:
            await asyncio.to_thread(writer.close)

    async def apply(self, entries: Sequence[InstanceEntry]) -> list[Applied]:
        """See `SearchIndex`."""
        return await self._written(lambda connection: apply(connection, entries)) if entries else []

    async def find(self, query: Query, after: Mark = ()) -> AsyncIterator[list[Document]]:
        """See `SearchIndex`. Without an order, pages are in the order of the path that narrows best, then of first
        arrival."""
        if query.order and query.level is not Level.STUDY:
            async for documents in in_order(self.find, query, after):
                yield documents
            return
        left = query.limit
        matches = self._ordered(query, after) if query.order else self._matches(query, resumed(query.level, after))
        async for page in matches:
            documents = [Document(query.level, row.attributes, row.mark) for row in page[:left]]
            if left is not None:
                left -= len(documents)
            if documents:
                yield documents
            if left == 0:
                return

    async def total(self, query: Query) -> int:
        """See `SearchIndex`."""
        tests = [_test(query, Level.PATIENT), _test(query, Level.STUDY)]
        counted = partial(
            total, query=query, path=await self._path_of(query), test=lambda a: all(test(a) for test in tests)
        )
        number = await self._read(counted)
        if number is not None:
            return number
        return sum([len(page) async for page in self.find(replace(query, order=(), limit=None))])

    async def place_behind(self, query: Query, count: int) -> Mark | None:
        """See `SearchIndex`."""
        if query.order and query.level is not Level.STUDY:
            return None
        if query.order:
            ordered.check(query, ())
        return await self._read(partial(place_behind, query=query, path=await self._path_of(query), count=count))

    async def locate(self, query: Query) -> AsyncIterator[list[Location]]:
        """See `SearchIndex`."""
        if query.level is Level.IMAGE:
            async for page in self._matches(query):
                if page:
                    known = await self._read(partial(rows.located, ids=[row.id for row in page]))
                    yield [known[row.id] for row in page if row.id in known]
            return
        async for series in self._series_below(query):
            after = 0
            while True:
                located = await self._read(partial(rows.locations, parent=series, after=after, limit=_PAGE))
                if not located:
                    break
                after = located[-1][0]
                yield [location for _, location in located]

    async def resolve(self, partition: str, sop_instance_uids: Sequence[str]) -> dict[str, list[Location]]:
        """See `SearchIndex`."""
        known: dict[str, list[Location]] = {}
        for start in range(0, len(sop_instance_uids), _AT_ONCE):
            uids = sop_instance_uids[start : start + _AT_ONCE]
            known |= await self._read(partial(rows.resolved, partition=partition, uids=uids))
        return known

    async def current(self, partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, Location]:
        """See `SearchIndex`."""
        known: dict[InstanceKey, Location] = {}
        for start in range(0, len(instances), _AT_ONCE):
            batch = instances[start : start + _AT_ONCE]
            known |= await self._read(partial(rows.current, partition=partition, instances=batch))
        return known

    async def receipts(self, partition: str, instance: InstanceKey) -> list[KnownReceipt]:
        """See `SearchIndex`."""
        return (await self.receipts_of(partition, [instance])).get(instance, [])

    async def receipts_of(
        self, partition: str, instances: Sequence[InstanceKey]
    ) -> dict[InstanceKey, list[KnownReceipt]]:
        """See `SearchIndex`."""
        return await self._read(partial(rows.receipts, partition=partition, instances=instances)) if instances else {}

    async def lose(self, losses: Sequence[Loss]) -> None:
        """See `SearchIndex`."""
        if losses:
            await self._written(lambda connection: lose(connection, losses))

    async def decide(self, decisions: Sequence[Decision]) -> None:
        """See `SearchIndex`."""
        # Others write in between: a study of a hundred thousand instances takes its time.
        for start in range(0, len(decisions), _PAGE):
            batch = decisions[start : start + _PAGE]
            await self._written(partial(decide, decisions=batch))

    async def deletion_states(self, partition: str, receipts: Sequence[str]) -> dict[str, DeletionState]:
        """See `SearchIndex`."""
        return (
            await self._read(partial(decided.deletion_states, partition=partition, receipts=receipts))
            if receipts
            else {}
        )

    async def decided_receipts(self, partition: str, receipts: Sequence[str]) -> dict[str, DecidedReceipt]:
        """See `SearchIndex`."""
        request = partial(decided.decided_receipts, partition=partition, receipts=receipts)
        return await self._read(request) if receipts else {}

    async def find_decided(
        self, partition: str, study_instance_uid: str = "", sop_instance_uids: Collection[str] = ()
    ) -> AsyncIterator[list[DecidedReceipt]]:
        """See `SearchIndex`."""
        after = study_instance_uid, ""
        read = partial(
            decided.page_of_decided,
            partition=partition,
            study=study_instance_uid,
            limit=_PAGE,
            instances=tuple(sop_instance_uids),
        )
        while page := await self._read(partial(read, after=after)):
            yield page
            after = page[-1].instance.study_instance_uid, page[-1].id

    async def hold(self, changes: Sequence[HoldChange]) -> None:
        """See `SearchIndex`."""
        if changes:
            await self._written(lambda connection: decided.hold(connection, changes))

    async def holds(self, partition: str, study_instance_uid: str) -> list[str]:
        """See `SearchIndex`."""
        return await self._read(partial(decided.holds, partition=partition, study=study_instance_uid))

    async def held(self, partition: str, after: str = "") -> AsyncIterator[list[StandingHolds]]:
        """See `SearchIndex`."""
        while page := await self._read(partial(decided.held, partition=partition, after=after, limit=_AT_ONCE)):
            yield page
            after = page[-1].holder

    async def correct(self, changes: Sequence[CorrectionChange]) -> None:
        """See `SearchIndex`."""
        for change in changes:
            # Others write in between: a patient may have thousands of studies.
            await self._written(partial(corrected.correct, changes=[change]))

    async def corrected(self, partition: str, study_instance_uid: str) -> CorrectedStudy | None:
        """See `SearchIndex`."""
        return await self._read(partial(corrected.corrected_study, partition=partition, study=study_instance_uid))

    async def corrections(self, partition: str, study_instance_uid: str = "", patient: str = "") -> Corrections:
        """See `SearchIndex`."""
        return await self._read(partial(corrections_of, partition=partition, study=study_instance_uid, patient=patient))

    async def orphaned_corrections(self, partition: str) -> AsyncIterator[list[OrphanedCorrections]]:
        """See `SearchIndex`."""
        after: tuple[str, str] | None = "", ""
        while after is not None:
            studies, after = await self._read(partial(orphaned.page, partition=partition, after=after, limit=_PAGE))
            if studies:
                yield studies

    async def note_accesses(self, accesses: Sequence[StudyAccess]) -> None:
        """See `SearchIndex`."""
        if accesses:
            await self._written(lambda connection: decided.note_accesses(connection, accesses))

    async def last_access(self, partition: str, study_instance_uid: str) -> int:
        """See `SearchIndex`."""
        return await self._read(partial(decided.last_access, partition=partition, study=study_instance_uid))

    async def relocate(self, relocations: Sequence[Relocation]) -> None:
        """See `SearchIndex`."""
        for start in range(0, len(relocations), _AT_ONCE):
            await self._written(partial(places.relocate, relocations=relocations[start : start + _AT_ONCE]))

    async def places(self, partition: str, receipts: Sequence[str]) -> dict[str, Place]:
        """See `SearchIndex`."""
        return await self._read(partial(places.places, partition=partition, receipts=receipts)) if receipts else {}

    async def stores_of(
        self, partition: str, level: Level, uids: Collection[tuple[str, ...]], stores: Collection[str]
    ) -> dict[tuple[str, ...], frozenset[str]]:
        """See `SearchIndex`."""
        request = partial(places.stores_of, partition=partition, level=level, uids=uids, stores=stores)
        return await self._read(request) if uids and stores else {}

    async def marks_of(self, partition: str, studies: Collection[str], holders: Collection[str] = ()) -> Marks:
        """See `SearchIndex`."""
        return await self._read(partial(marks.marks_of, partition=partition, studies=studies, holders=holders))

    async def conflicts(self, partition: str) -> AsyncIterator[list[str]]:
        """See `SearchIndex`."""
        after = ""
        while uids := await self._read(partial(rows.conflicts, partition=partition, after=after, limit=_AT_ONCE)):
            yield uids
            after = uids[-1]

    async def count(self, partition: str) -> dict[str, int]:
        """See `SearchIndex`."""

        def counted(connection: sqlite3.Connection) -> dict[str, int]:
            names = ("patients", "studies", "series", "instances", "aside")
            numbers = connection.execute(
                "SELECT (SELECT count(*) FROM patient WHERE partition = ?1), count(*), coalesce(sum(series), 0),"
                " coalesce(sum(instances), 0),"
                " (SELECT count(*) FROM receipt INDEXED BY receipt_aside JOIN instance ON instance.id = instance_id"
                " WHERE aside AND instance.partition = ?1)"
                " FROM study WHERE partition = ?1",
                (partition,),
            ).fetchone()
            return dict(zip(names, numbers, strict=True))

        return await self._read(counted)

    async def check(self) -> None:
        """See `SearchIndex`. A file that any query found damaged stays unhealthy, even if this check succeeds."""
        await self._read(lambda connection: connection.execute("SELECT 1 FROM study LIMIT 1").fetchone())
        if self._damage:
            reason = f"{self._path.name} is damaged ({self._damage}); stop, remove it and start: it is filled again"
            raise DependencyUnavailable(_DEPENDENCY, reason)

    async def attributes(self) -> AttributeTable:
        """See `SearchIndex`. Read each time: another process may replace this index by a successor."""
        return await self._read(attributes_of)

    async def successor(self, attributes: AttributeTable) -> SqliteIndex:
        """See `SearchIndex`."""
        await asyncio.to_thread(remove, self._path)
        return await SqliteIndex(successor_of(self._path), self._threads, self._path, attributes).open()

    async def take_over(self) -> None:
        """See `SearchIndex`."""
        if self._replaces is None:
            raise RuntimeError("this index is in use already")
        await self.close()
        await asyncio.to_thread(take_over, self._replaces, _DEPENDENCY)
        self._path, self._replaces = self._replaces, None
        await self.open()

    async def discard(self) -> None:
        """See `SearchIndex`."""
        if self._replaces is not None:
            await self.close()
            await asyncio.to_thread(remove, self._replaces)

    async def _matches(self, query: Query, after: Resumed = FROM_THE_BEGINNING) -> AsyncIterator[list[Row]]:
        """The matching rows of the query's level, in pages that may be empty."""
        tests = {level: _test(query, level) for level in Level}
        if query.level is Level.PATIENT:
            path = patient_path(narrowing(query))
            patients = partial(rows.patients, partition=query.partition, path=path)
            async for page in self._pages_along(patients, after.place(path)):
                yield [patient for row in page if (patient := _matching_patient(row, tests[Level.PATIENT])) is not None]
            return
        path = await self._path_of(query)
        studies = partial(rows.studies, partition=query.partition, path=path)
        async for page in self._pages_along(studies, after.place(path)):
            matches = [
                row for row in page if tests[Level.STUDY](row.attributes) and tests[Level.PATIENT](row.attributes)
            ]
            if query.level is Level.STUDY:
                yield matches
                continue
            for study in matches:
                async for series in self._below(rows.series, study, after.below(study)):
                    matching = [row for row in series if tests[Level.SERIES](row.attributes)]
                    if query.level is Level.SERIES:
                        yield matching
                        continue
                    for series_row in matching:
                        async for instances in self._below(rows.instances, series_row, after.below(series_row)):
                            yield [row for row in instances if tests[Level.IMAGE](row.attributes)]

    async def _ordered(self, query: Query, after: Mark) -> AsyncIterator[list[Row]]:
        """The studies that match, in the order of the query, in pages that may be empty."""
        ordered.check(query, after)
        tests = [_test(query, Level.STUDY), _test(query, Level.PATIENT)]
        path = await self._path_of(query)
        walk, place = await self._read(partial(ordered.walk_of, query=query, path=path, after=after)), after
        size = _PAGE if query.limit is None else max(1, min(query.limit, _PAGE))
        while True:
            page, following = await self._read(partial(ordered.studies, walk=walk, after=place, limit=size))
            yield [row for row in page if all(test(row.attributes) for test in tests)]
            if following is None:
                return
            place, size = following, _PAGE

    async def _series_below(self, query: Query) -> AsyncIterator[Row]:
        """All series below the matches of a query above IMAGE, a study's together."""
        async for page in self._matches(query):
            for match in page:
                if query.level is Level.SERIES:
                    yield match
                elif query.level is Level.STUDY:
                    async for series in self._below(rows.series, match):
                        for row in series:
                            yield row
                else:
                    path = Path("patient_id", ((match.id, match.id),))
                    async for studies in self._pages_along(partial(rows.studies, partition=query.partition, path=path)):
                        for study in studies:
                            async for series in self._below(rows.series, study):
                                for row in series:
                                    yield row

    async def _path_of(self, query: Query) -> Path:
        """The path into the studies; if only series or instances are named, into theirs."""
        path = path_of_studies(query)
        for tag, table in ((SERIES_INSTANCE_UID, "series"), (SOP_INSTANCE_UID, "instance")):
            uids = None if path.column else uids_of(query.conditions.get(tag))
            if uids is not None:
                named = partial(rows.studies_of, table=table, partition=query.partition, uids=uids)
                path = Path("uid", tuple((uid, uid) for uid in sorted(await self._read(named))))
        return path

    async def _pages_along(
        self, page_from: Callable[..., Page], begin: RowCursor | None = None
    ) -> AsyncIterator[list[Row]]:
        place: RowCursor | None = begin or RowCursor()
        while place is not None:
            page, place = await self._read(partial(page_from, place=place, limit=_PAGE))
            yield page

    async def _below(self, children: Callable[..., list[Row]], parent: Row, after: int = 0) -> AsyncIterator[list[Row]]:
        while page := await self._read(partial(_children, children, parent, after)):
            after = page[-1].id
            yield page
            if len(page) < _PAGE:
                return

    async def _written(self, work: Work[T]) -> T:
        if self._writer is None:
            raise RuntimeError("the index is not open")
        return await self._remembering(self._writer.run(work))

    async def _remembering(self, call: Awaitable[T]) -> T:
        """The result of `call`. A file that was found damaged stays so, although other queries may succeed."""
        try:
            return await call
        except DependencyUnavailable as error:
            cause = error.__cause__
            # A temporary fault (a full disk, a lock) is an OperationalError, which is a DatabaseError, too.
            if isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError):
                self._damage = str(cause)
            raise

    async def _read(self, work: Work[T]) -> T:
        if self._readers is None:
            raise RuntimeError("the index is not open")
        return await self._remembering(self._readers.run(work))


async def open_sqlite_index(path: FilePath, attributes: AttributeTable = STANDARD) -> SqliteIndex:
    """The search index in a file, created for `attributes` if it does not exist, ready for use."""
    return await SqliteIndex(path, attributes=attributes).open()


def _matching_patient(row: Row, test: Predicate) -> Row | None:
    """A patient with the values of its earliest matching study; None if none matches."""
    for attributes in row.variants or (row.attributes,):
        if test(attributes):
            return replace(row, attributes=attributes)
    return None


def _children(children: Callable[..., list[Row]], parent: Row, after: int, connection: sqlite3.Connection) -> list[Row]:
    return children(connection, parent, after, _PAGE)


def _test(query: Query, level: Level) -> Predicate:
    """The conditions on attributes of one level; for studies, with the alternatives of which one must hold."""
    conditions = {tag: c for tag, c in query.conditions.items() if query.attributes.level_of(tag) is level}
    one_of = query.one_of if level is Level.STUDY else ()
    return matcher(replace(query, level=level, conditions=conditions, one_of=one_of))
