"""Which studies are to be moved, where to and why: derived from the index and the rules each time, not stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Cursor, Document, Query, Single
from gantry.common.dicom.standard.tags import STUDY_DATE, STUDY_INSTANCE_UID
from gantry.common.errors import NotUnderstood
from gantry.common.lifecycle import HOT, NEVER_MOVED, RetentionRule, Since, Tier, TierRule, tier_of
from gantry.common.lifecycle.retention import date_in
from gantry.common.ports.index import InstanceKey, Location, ReadIndex
from gantry.common.runtime.losses import instance_of
from gantry.common.runtime.study_facts import KnownStudy, day_of, facts_of

_TOGETHER = 20
"""Studies of one query: a listing must not stay open for as long as objects are copied."""


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """One object that is to be moved. `receipts` are its receipts, by instance; `data_set_offset` is -1 if unknown.
    `location` is that of an instance whose current object it is. `bytes` is its approximate length."""

    key: str
    digest: str
    data_set_offset: int
    bytes: int
    receipts: tuple[tuple[InstanceKey, str], ...]
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class StudyMove:
    """Objects of one study that are to be moved; a large study has several of these."""

    study: str
    tier: Tier
    objects: tuple[PlannedObject, ...]

    @property
    def bytes(self) -> int:
        """The approximate number of bytes to copy."""
        return sum(planned.bytes for planned in self.objects)


class Planner:
    """Compares where studies are with where they belong."""

    def __init__(
        self, index: ReadIndex, clock: Clock, partition: str, rules: Sequence[TierRule], stores: Sequence[str]
    ) -> None:
        """`stores` are the names of the stores beside the first one, from the nearest to the farthest."""
        self._index = index
        self._clock = clock
        self._partition = partition
        self._rules = rules
        self._stores = tuple(stores)

    async def moves(self) -> AsyncIterator[StudyMove]:
        """The moves due today. Raises `DependencyUnavailable`."""
        today = day_of(self._clock.now_us())
        for number, rule in enumerate(self._rules):
            before = [rule.rule for rule in self._rules[:number]]
            async for page in self._pages(rule.rule.studies):
                # Studies that an earlier rule matches, too, were handled with that rule.
                new = [
                    document for document in page if not any(other.may_match(document.attributes) for other in before)
                ]
                async for move in self._of(new, today):
                    yield move

    async def _pages(self, query: Query) -> AsyncIterator[list[Document]]:
        place: Cursor = ()
        limited = replace(query, limit=_TOGETHER)
        while True:
            try:
                page = [document async for batch in self._index.find(limited, place) for document in batch]
            except NotUnderstood:  # the index was rebuilt meanwhile: moved studies are skipped
                page = [document async for batch in self._index.find(limited) for document in batch]
            if not page:
                return
            yield page
            place = page[-1].place

    async def _of(self, studies: Sequence[Document], today: date) -> AsyncIterator[StudyMove]:
        uids = [(str(document.attributes[STUDY_INSTANCE_UID][0]),) for document in studies]
        elsewhere = await self._index.stores_of(self._partition, Level.STUDY, uids, self._stores)
        for study, (uid,) in zip(studies, uids, strict=True):
            stores = elsewhere.get((uid,), frozenset())
            if not stores and not any(_may_be_over(rule.rule, study, today) for rule in self._rules):
                continue
            tier = await self._tier(study, uid, today)
            if tier is not None and (tier.store != HOT or stores):
                async for move in self._planned(uid, tier):
                    yield move

    async def _tier(self, study: Document, uid: str, today: date) -> Tier | None:
        known = KnownStudy(self._partition, uid, study.attributes)
        facts = await facts_of(self._index, known, [rule.rule for rule in self._rules])
        return tier_of(facts, self._rules, self._stores, today)

    async def _planned(self, study: str, tier: Tier) -> AsyncIterator[StudyMove]:
        query = Query(self._partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))})
        async for page in self._index.locate(query):
            if objects := await self._objects(page, tier.store):
                yield StudyMove(study, tier, tuple(objects))

    async def _objects(self, page: Sequence[Location], store: str) -> list[PlannedObject]:
        """The objects of instances that are not in the store: those of all receipts, including the ones aside."""
        at = {instance_of(location): location for location in page}
        receipts = await self._index.receipts_of(self._partition, list(at))
        names = [receipt.id for group in receipts.values() for receipt in group]
        places = await self._index.places(self._partition, names)
        objects: dict[str, PlannedObject] = {}
        for instance, group in receipts.items():
            for receipt in group:
                if receipt.lost or places.get(receipt.id, NEVER_MOVED).store == store:
                    continue
                location = at[instance]
                known = objects.get(receipt.object_key)
                objects[receipt.object_key] = PlannedObject(
                    receipt.object_key,
                    receipt.digest,
                    receipt.data_set_offset,
                    location.data_set_offset + location.data_set_length,
                    ((instance, receipt.id), *(known.receipts if known is not None else ())),
                    location if location.object_key == receipt.object_key else None,
                )
        return list(objects.values())


def _may_be_over(rule: RetentionRule, study: Document, today: date) -> bool:
    """False if attributes alone show that a rule moves nothing: nothing else is read of the many studies that stay."""
    if rule.period is None or not rule.may_match(study.attributes):
        return False
    dated = date_in(study.attributes, STUDY_DATE) if rule.since is Since.STUDY else None
    return dated is None or rule.period.after(dated) <= today
