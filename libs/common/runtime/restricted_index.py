"""The index for a requester that sees only some studies: nothing else is ever found, counted, listed or located.

`gantry.common.access.SIGHT` is the sight of the current requester. For a requester that sees everything, and for the
archive itself, each call is passed on as it is. For others the restriction becomes a further condition of the query, so
that pages, orders, totals and positions are those of a smaller archive; requests by UIDs are answered for visible
studies.

Several alternatives (a person's referrals, or their own record) cannot be a DICOM condition: a query has them beside
its conditions (`one_of`). If they name patients or studies, these are few; a department is an attribute of series,
while sight is by study: in that case the visible studies are looked up first, and the query is for these. Patients are
those of the visible studies, with the values of these.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import product

from gantry.common.access import SIGHT, Alternative
from gantry.common.access.sight import conjoined
from gantry.common.dicom.query.attributes import STANDARD, AttributeTable, Level
from gantry.common.dicom.query.matching import Cursor, Document, Query, UidList
from gantry.common.dicom.standard.tags import (
    NUMBER_OF_PATIENT_RELATED_INSTANCES,
    NUMBER_OF_PATIENT_RELATED_SERIES,
    NUMBER_OF_PATIENT_RELATED_STUDIES,
    PATIENT_ID,
    STUDY_INSTANCE_UID,
)
from gantry.common.errors import IdentifierError
from gantry.common.lifecycle import Corrections, DeletionState, Place, patient_key
from gantry.common.ports.index import (
    CorrectedStudy,
    DecidedReceipt,
    InstanceKey,
    KnownReceipt,
    Location,
    Marks,
    ReadIndex,
    StandingHolds,
)
from gantry.common.statuses import OUT_OF_RESOURCES

MOST_STUDIES = 10_000
"""Most studies that may be looked up."""
_COUNTS = frozenset(
    (NUMBER_OF_PATIENT_RELATED_STUDIES, NUMBER_OF_PATIENT_RELATED_SERIES, NUMBER_OF_PATIENT_RELATED_INSTANCES)
)
_OF_PATIENTS = STANDARD.stored_of[Level.PATIENT]


class RestrictedIndex:
    """`ReadIndex`, restricted to the sight of the current requester."""

    def __init__(self, index: ReadIndex) -> None:
        self._index = index

    async def find(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Document]]:
        """See `SearchIndex`."""
        if query.level is Level.PATIENT and not _is_of_patients():
            async for page in self._patients(query, after):
                yield page
            return
        seen = await self._restricted(query)
        if seen is None:
            return
        async for page in self._index.find(seen, after):
            yield page if _counts_are_seen() else [_uncounted(document) for document in page]

    async def total(self, query: Query) -> int:
        """See `SearchIndex`."""
        if query.level is Level.PATIENT and not _is_of_patients():
            return sum([len(page) async for page in self._patients(replace(query, limit=None))])
        seen = await self._restricted(query)
        return 0 if seen is None else await self._index.total(seen)

    async def place_behind(self, query: Query, count: int) -> Cursor | None:
        """See `SearchIndex`."""
        seen = await self._restricted(query)
        return None if seen is None else await self._index.place_behind(seen, count)

    async def locate(self, query: Query) -> AsyncIterator[list[Location]]:
        """See `SearchIndex`."""
        if query.level is Level.PATIENT and not SIGHT.get().whole:
            # All objects of a patient are those of the patient's studies: these can be restricted.
            query = replace(query, level=Level.STUDY)
        seen = await self._restricted(query)
        if seen is not None:
            async for page in self._index.locate(seen):
                yield page

    async def current(self, partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, Location]:
        """See `SearchIndex`."""
        return await self._index.current(partition, await self._visible_instances(partition, instances))

    async def resolve(self, partition: str, sop_instance_uids: Sequence[str]) -> dict[str, list[Location]]:
        """See `SearchIndex`."""
        by_uid = await self._index.resolve(partition, sop_instance_uids)
        if SIGHT.get().whole:
            return by_uid
        studies = await self._visible(
            partition, {location.study_instance_uid for locations in by_uid.values() for location in locations}
        )
        seen = {
            uid: [location for location in locations if location.study_instance_uid in studies]
            for uid, locations in by_uid.items()
        }
        return {uid: locations for uid, locations in seen.items() if locations}

    async def receipts(self, partition: str, instance: InstanceKey) -> list[KnownReceipt]:
        """See `SearchIndex`."""
        seen = await self._visible_instances(partition, [instance])
        return await self._index.receipts(partition, instance) if seen else []

    async def receipts_of(
        self, partition: str, instances: Sequence[InstanceKey]
    ) -> dict[InstanceKey, list[KnownReceipt]]:
        """See `SearchIndex`."""
        return await self._index.receipts_of(partition, await self._visible_instances(partition, instances))

    async def deletion_states(self, partition: str, receipts: Sequence[str]) -> dict[str, DeletionState]:
        """See `SearchIndex`. A caller that knows a receipt may know that it is deleted."""
        return await self._index.deletion_states(partition, receipts)

    async def decided_receipts(self, partition: str, receipts: Sequence[str]) -> dict[str, DecidedReceipt]:
        """See `SearchIndex`."""
        decided = await self._index.decided_receipts(partition, receipts)
        if SIGHT.get().whole:
            return decided
        studies = await self._visible(
            partition, {decided_receipt.instance.study_instance_uid for decided_receipt in decided.values()}
        )
        return {
            receipt: decided_receipt
            for receipt, decided_receipt in decided.items()
            if decided_receipt.instance.study_instance_uid in studies
        }

    async def find_decided(
        self, partition: str, study_instance_uid: str = "", sop_instance_uids: Collection[str] = ()
    ) -> AsyncIterator[list[DecidedReceipt]]:
        """See `SearchIndex`. A fully deleted study does not exist for a restricted requester."""
        if await self._is_visible(partition, study_instance_uid):
            async for page in self._index.find_decided(partition, study_instance_uid, sop_instance_uids):
                yield page

    async def holds(self, partition: str, study_instance_uid: str) -> list[str]:
        """See `SearchIndex`."""
        seen = await self._is_visible(partition, study_instance_uid)
        return await self._index.holds(partition, study_instance_uid) if seen else []

    async def held(self, partition: str, after: str = "") -> AsyncIterator[list[StandingHolds]]:
        """See `SearchIndex`. Holds of all studies are for requesters that see all."""
        if SIGHT.get().whole:
            async for page in self._index.held(partition, after):
                yield page

    async def corrected(self, partition: str, study_instance_uid: str) -> CorrectedStudy | None:
        """See `SearchIndex`."""
        seen = await self._is_visible(partition, study_instance_uid)
        return await self._index.corrected(partition, study_instance_uid) if seen else None

    async def corrections(self, partition: str, study_instance_uid: str = "", patient: str = "") -> Corrections:
        """See `SearchIndex`."""
        seen = await self._is_visible(partition, study_instance_uid)
        return await self._index.corrections(partition, study_instance_uid, patient) if seen else Corrections()

    async def last_access(self, partition: str, study_instance_uid: str) -> int:
        """See `SearchIndex`. Not restricted: no answer has it, and retrieval counts by it."""
        return await self._index.last_access(partition, study_instance_uid)

    async def conflicts(self, partition: str) -> AsyncIterator[list[str]]:
        """See `SearchIndex`. Conflicts of all studies are for requesters that see all."""
        if SIGHT.get().whole:
            async for page in self._index.conflicts(partition):
                yield page

    async def places(self, partition: str, receipts: Sequence[str]) -> dict[str, Place]:
        """See `SearchIndex`."""
        return await self._index.places(partition, receipts)

    async def stores_of(
        self, partition: str, level: Level, uids: Collection[tuple[str, ...]], stores: Collection[str]
    ) -> dict[tuple[str, ...], frozenset[str]]:
        """See `SearchIndex`. Asked about what was found, which is seen."""
        return await self._index.stores_of(partition, level, uids, stores)

    async def marks_of(self, partition: str, studies: Collection[str], holders: Collection[str] = ()) -> Marks:
        """See `SearchIndex`. Asked about what was found, which is seen."""
        return await self._index.marks_of(partition, studies, holders)

    async def count(self, partition: str) -> dict[str, int]:
        """See `SearchIndex`."""
        counts = await self._index.count(partition)
        return counts if SIGHT.get().whole else dict.fromkeys(counts, 0)

    async def attributes(self) -> AttributeTable:
        """See `SearchIndex`."""
        return await self._index.attributes()

    async def _restricted(self, query: Query) -> Query | None:
        """The query for visible studies; None if there are none. Raises `IdentifierError` for more studies than can be
        looked up."""
        alternatives = SIGHT.get().alternatives
        if alternatives is None:
            return query
        if query.conditions.keys() & _COUNTS and not _counts_are_seen():
            return None
        if len(alternatives) == 1 and _is_of_studies(alternatives[0], query):
            return replace(query, conditions=conjoined(query.conditions, alternatives[0]))
        if (
            query.level is not Level.PATIENT
            and _are_many(alternatives)
            and all(_is_of_studies(alternative, query) for alternative in alternatives)
        ):
            branches = query.one_of or ({},)
            return replace(query, one_of=tuple(conjoined(a, b) for a, b in product(branches, alternatives)))
        uids = await self._studies(query, alternatives)
        return replace(query, conditions={**query.conditions, STUDY_INSTANCE_UID: UidList(uids)}) if uids else None

    async def _patients(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Document]]:
        """The patients of the visible studies that match. A position is that of a patient's first study."""
        of_studies = replace(query, level=Level.STUDY, limit=None, order=())
        known: set[str] = set()
        left, passing = query.limit, bool(after)
        async for page in self.find(of_studies):
            patients: list[Document] = []
            for study in page:
                key = patient_key(study.attributes, str(study.attributes[STUDY_INSTANCE_UID][0]))
                if key in known:
                    continue
                known.add(key)
                if not passing:
                    patients.append(_patient_of(study, query))
                passing = passing and study.place != after
            if patients and left != 0:
                yield patients[:left]
                left = None if left is None else max(0, left - len(patients))

    async def _studies(self, query: Query, alternatives: Iterable[Alternative]) -> tuple[str, ...]:
        """The studies that meet the study and patient conditions of a query, and one of the alternatives."""
        table = query.attributes
        conditions = {t: c for t, c in query.conditions.items() if table.level_of(t).depth <= Level.STUDY.depth}
        studies: dict[str, None] = {}
        for alternative in alternatives:
            level = Level.STUDY if _is_of_studies(alternative, query) else Level.SERIES
            of_studies = Query(
                query.partition, level, conjoined(conditions, alternative), zone=query.zone, attributes=table
            )
            async for page in self._index.find(of_studies):
                studies |= dict.fromkeys(str(document.attributes[STUDY_INSTANCE_UID][0]) for document in page)
                if len(studies) > MOST_STUDIES:
                    raise IdentifierError(OUT_OF_RESOURCES, f"more than {MOST_STUDIES} studies: narrow the search")
        return tuple(studies)

    async def _visible_instances(self, partition: str, instances: Sequence[InstanceKey]) -> Sequence[InstanceKey]:
        if SIGHT.get().whole or not instances:
            return instances
        studies = await self._visible(partition, {instance.study_instance_uid for instance in instances})
        return [instance for instance in instances if instance.study_instance_uid in studies]

    async def _is_visible(self, partition: str, study: str) -> bool:
        return SIGHT.get().whole or bool(study and await self._visible(partition, {study}))

    async def _visible(self, partition: str, studies: Collection[str]) -> frozenset[str]:
        """The visible ones of some studies."""
        if not studies:
            return frozenset()
        query = Query(partition, Level.STUDY, {STUDY_INSTANCE_UID: UidList(tuple(sorted(studies)))})
        uids: set[str] = set()
        async for page in self.find(query):
            uids |= {str(document.attributes[STUDY_INSTANCE_UID][0]) for document in page}
        return frozenset(uids)


def _counts_are_seen() -> bool:
    """Whether each patient with a visible study has only visible ones."""
    alternatives = SIGHT.get().alternatives
    return alternatives is None or all(alternative.keys() <= _OF_PATIENTS for alternative in alternatives)


def _uncounted(document: Document) -> Document:
    """The query without counts over all studies of the patient (PS3.4 C.3.4)."""
    return replace(document, attributes={t: v for t, v in document.attributes.items() if t not in _COUNTS})


def _is_of_patients() -> bool:
    """Whether patients have all attributes that decide about sight."""
    alternatives = SIGHT.get().alternatives
    return alternatives is None or (len(alternatives) <= 1 and _counts_are_seen())


def _are_many(alternatives: Iterable[Alternative]) -> bool:
    """Whether some alternative shows more studies than those of a few patients."""
    return any(alternative.keys().isdisjoint((PATIENT_ID, STUDY_INSTANCE_UID)) for alternative in alternatives)


def _is_of_studies(alternative: Alternative, query: Query) -> bool:
    """Whether studies have the attributes that an alternative compares; otherwise one of their series must match."""
    return all(query.attributes.level_of(tag).depth <= Level.STUDY.depth for tag in alternative)


def _patient_of(study: Document, query: Query) -> Document:
    of_patients = query.attributes.stored_of[Level.PATIENT]
    return Document(Level.PATIENT, {t: v for t, v in study.attributes.items() if t in of_patients}, study.place)
