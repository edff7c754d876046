"""`gantry.common.ports.index.SearchIndex` on OpenSearch."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace

from gantry.common.adapters.below_study import in_order
from gantry.common.adapters.opensearch.accesses import AccessDocuments
from gantry.common.adapters.opensearch.client import OpenSearchClient
from gantry.common.adapters.opensearch.cluster import KINDS, OpenSearchCluster
from gantry.common.adapters.opensearch.conflicts import Conflicts
from gantry.common.adapters.opensearch.correcting import Correcting
from gantry.common.adapters.opensearch.corrections import CorrectionDocuments, KnownCorrections
from gantry.common.adapters.opensearch.deciding import Deciding
from gantry.common.adapters.opensearch.decision_documents import DecisionDocuments, decision_id
from gantry.common.adapters.opensearch.documents import (
    LOCATION_FIELDS,
    instance_id,
    known_receipt,
    moved_receipts,
)
from gantry.common.adapters.opensearch.generations import Generations, Names
from gantry.common.adapters.opensearch.holds import Holds
from gantry.common.adapters.opensearch.orphaned import OrphanFinder
from gantry.common.adapters.opensearch.places import PlaceDocuments
from gantry.common.adapters.opensearch.receipts import Receipts
from gantry.common.adapters.opensearch.searching import Searcher, place_of
from gantry.common.adapters.opensearch.summaries import Summaries
from gantry.common.adapters.opensearch.totals import TotalsCounter
from gantry.common.adapters.opensearch.writing import Applying
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import STANDARD, AttributeTable, Level
from gantry.common.dicom.query.matching import Cursor, Document, Query
from gantry.common.errors import ConfigError
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

_PREFIX = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_AT_ONCE = 1000
_LINGER_SECONDS = 60.0
_REMEMBERED_SECONDS = 5.0
"""Seconds for which the live generation is assumed unchanged; searches then use only what both generations have."""


class OpenSearchIndex:
    """A `SearchIndex` of one installation. Made by `open_opensearch_index`, and by `successor`."""

    def __init__(
        self,
        cluster: OpenSearchCluster,
        clock: Clock,
        successor: Names | None = None,
        linger: float = _LINGER_SECONDS,
        attributes: AttributeTable = STANDARD,
    ) -> None:
        """`attributes` are those of new indices, if there are none yet. `successor` are the indices of a generation
        that is not live. Replaced indices stay for `linger` seconds, for requests under way."""
        self._cluster = cluster
        self._clock = clock
        self._linger = linger
        self._client = OpenSearchClient(cluster)
        self._generations = Generations(self._client, cluster)
        self._successor = successor
        self._replaced: Names | None = None
        self._turn = asyncio.Lock()
        self._attributes = attributes
        self._tables: dict[str, AttributeTable] = {}
        """Tables of indices by their own names: an index does not change."""
        self._searchable: tuple[float, AttributeTable] | None = None
        """Until when it is valid, and the table of the alias's index."""
        self._aliases = {kind: cluster.alias(kind) for kind in KINDS}

    async def open(self, *, any_version: bool = False) -> None:
        """Make what is missing; see `open_opensearch_index`."""
        await self._generations.ensure(self._attributes, any_version=any_version)

    async def close(self) -> None:
        await self._client.close()

    async def apply(self, entries: Sequence[InstanceEntry]) -> list[Applied]:
        if not entries:
            return []
        # One after the other: two calls of this process would only race each other. And with the indices' own names:
        # with aliases, one half of a batch might get into one generation and the other into the next.
        async with self._turn:
            names = dict(await self._writable())
            return await Applying(self._client, names, self._clock, await self._table(names)).apply(entries)

    async def find(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Document]]:
        left = query.limit
        if left == 0:
            return
        if query.order and query.level is not Level.STUDY:
            async for page in in_order(self.find, query, after):
                yield page
            return
        async for rows in Searcher(self._client, self._searched).matches(query, after):
            documents = [Document(query.level, row.attributes, place_of(query, row)) for row in rows[:left]]
            if left is not None:
                left -= len(documents)
            if documents:
                yield documents
            if left == 0:
                return

    async def total(self, query: Query) -> int:
        number = await TotalsCounter(self._client, self._searched).total(query)
        if number is not None:
            return number
        return sum([len(page) async for page in self.find(replace(query, order=(), limit=None))])

    async def place_behind(self, query: Query, count: int) -> Cursor | None:
        return await TotalsCounter(self._client, self._searched).place_behind(query, count)

    async def locate(self, query: Query) -> AsyncIterator[list[Location]]:
        async for page in Searcher(self._client, self._searched).locations(query):
            if page:
                yield page

    async def resolve(self, partition: str, sop_instance_uids: Sequence[str]) -> dict[str, list[Location]]:
        uids = list(dict.fromkeys(sop_instance_uids))
        known: dict[str, list[Location]] = {}
        for start in range(0, len(uids), _AT_ONCE):
            known |= await Searcher(self._client, self._searched).resolved(partition, uids[start : start + _AT_ONCE])
        return known

    async def current(self, partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, Location]:
        ids = {instance_id(partition, instance): instance for instance in instances}
        results = await self._client.get(self._searched["instances"], list(ids), ("live", *LOCATION_FIELDS))
        sources = {
            ids[id_]: result.source
            for id_, result in results.items()
            if result.source is not None and result.source["live"]
        }
        located = await Searcher(self._client, self._searched).located(list(sources.values()))
        return dict(zip(sources, located, strict=True))

    async def receipts(self, partition: str, instance: InstanceKey) -> list[KnownReceipt]:
        return (await self.receipts_of(partition, [instance])).get(instance, [])

    async def receipts_of(
        self, partition: str, instances: Sequence[InstanceKey]
    ) -> dict[InstanceKey, list[KnownReceipt]]:
        ids = {instance_id(partition, instance): instance for instance in instances}
        beside = Receipts(self._client, self._searched)
        known: dict[InstanceKey, list[KnownReceipt]] = {}
        for id_, result in (await self._client.get(self._searched["instances"], list(ids), ("receipts",))).items():
            rows = {row[0]: row for row in result.source["receipts"]["near"]} if result.source is not None else {}
            if moved_receipts(result.source):
                rows |= {row[0]: row for row in await beside.moved(id_)}
            if rows:
                known[ids[id_]] = [known_receipt(rows[receipt]) for receipt in sorted(rows)]
        return known

    async def lose(self, losses: Sequence[Loss]) -> None:
        if losses:
            async with self._turn:
                names = dict(await self._writable())
                await Applying(self._client, names, self._clock, await self._table(names)).lose(losses)

    async def decide(self, decisions: Sequence[Decision]) -> None:
        if decisions:
            async with self._turn:
                names = dict(await self._writable())
                await Deciding(self._client, names, self._clock, await self._table(names)).decide(decisions)

    async def deletion_states(self, partition: str, receipts: Sequence[str]) -> dict[str, DeletionState]:
        ids = {decision_id(partition, receipt): receipt for receipt in receipts}
        decision_documents = await DecisionDocuments(self._client, self._searched).get(ids)
        return {
            ids[id_]: decision_document.deletion_state
            for id_, decision_document in decision_documents.items()
            if decision_document.decided
        }

    async def decided_receipts(self, partition: str, receipts: Sequence[str]) -> dict[str, DecidedReceipt]:
        return await DecisionDocuments(self._client, self._searched).decided_receipts(partition, receipts)

    async def find_decided(
        self, partition: str, study_instance_uid: str = "", sop_instance_uids: Collection[str] = ()
    ) -> AsyncIterator[list[DecidedReceipt]]:
        async for page in DecisionDocuments(self._client, self._searched).find_decided(
            partition, study_instance_uid, sop_instance_uids
        ):
            yield page

    async def hold(self, changes: Sequence[HoldChange]) -> None:
        if changes:
            async with self._turn:
                await Holds(self._client, await self._writable()).note(changes, self._clock)

    async def holds(self, partition: str, study_instance_uid: str) -> list[str]:
        return await Holds(self._client, self._searched).standing(partition, study_instance_uid)

    async def held(self, partition: str, after: str = "") -> AsyncIterator[list[StandingHolds]]:
        async for page in Holds(self._client, self._searched).held(partition, after):
            yield page

    async def correct(self, changes: Sequence[CorrectionChange]) -> None:
        if changes:
            async with self._turn:
                names = dict(await self._writable())
                await Correcting(self._client, names, self._clock, await self._table(names)).correct(changes)

    async def corrected(self, partition: str, study_instance_uid: str) -> CorrectedStudy | None:
        names = self._searched
        own = await Summaries(self._client, names, self._clock, self._attributes).own(partition, study_instance_uid)
        if own is None:
            return None
        used = KnownCorrections()
        await CorrectionDocuments(self._client, names).effects(partition, {study_instance_uid: own}, used)
        return CorrectedStudy(own, used.studies[study_instance_uid], used.patients)

    async def corrections(self, partition: str, study_instance_uid: str = "", patient: str = "") -> Corrections:
        documents = CorrectionDocuments(self._client, self._searched)
        if study_instance_uid:
            return (await documents.of_studies(partition, [study_instance_uid]))[study_instance_uid]
        return (await documents.of_patients(partition, [patient]))[patient]

    async def orphaned_corrections(self, partition: str) -> AsyncIterator[list[OrphanedCorrections]]:
        names = self._searched
        summaries = Summaries(self._client, names, self._clock, self._attributes)
        async for page in OrphanFinder(self._client, names, summaries).pages(partition):
            yield page

    async def note_accesses(self, accesses: Sequence[StudyAccess]) -> None:
        if accesses:
            async with self._turn:
                await AccessDocuments(self._client, await self._writable()).note(accesses, self._clock)

    async def last_access(self, partition: str, study_instance_uid: str) -> int:
        return await AccessDocuments(self._client, self._searched).last(partition, study_instance_uid)

    async def relocate(self, relocations: Sequence[Relocation]) -> None:
        if relocations:
            async with self._turn:
                await PlaceDocuments(self._client, dict(await self._writable())).note(relocations, self._clock)

    async def places(self, partition: str, receipts: Sequence[str]) -> dict[str, Place]:
        return await PlaceDocuments(self._client, self._searched).of(partition, receipts)

    async def stores_of(
        self, partition: str, level: Level, uids: Collection[tuple[str, ...]], stores: Collection[str]
    ) -> dict[tuple[str, ...], frozenset[str]]:
        return await PlaceDocuments(self._client, self._searched).stores_of(partition, level, uids, stores)

    async def marks_of(self, partition: str, studies: Collection[str], holders: Collection[str] = ()) -> Marks:
        names = self._searched
        held, conflicting, rejected = await asyncio.gather(
            Holds(self._client, names).among(partition, holders),
            Conflicts(self._client, names["instances"], partition).studies(studies),
            DecisionDocuments(self._client, names).rejected(partition, studies),
        )
        return Marks(held, conflicting, rejected)

    async def conflicts(self, partition: str) -> AsyncIterator[list[str]]:
        async for uids in Conflicts(self._client, self._searched["instances"], partition).pages():
            yield uids

    async def count(self, partition: str) -> dict[str, int]:
        sums = {"series": {"sum": {"field": "series"}}, "instances": {"sum": {"field": "instances"}}}
        patients, _ = await self._sums(partition, "patients", {})
        studies, below = await self._sums(partition, "studies", sums)
        _, aside = await self._sums(partition, "instances", {"aside": {"sum": {"field": "aside"}}})
        return {"patients": patients, "studies": studies, **below, **aside}

    async def check(self) -> None:
        await self._client.search(self._searched["studies"], {"size": 0, "terminate_after": 1})

    async def attributes(self) -> AttributeTable:
        if self._successor is not None:
            return await self._table(self._successor)
        now = self._clock.monotonic()
        if self._searchable is None or self._searchable[0] <= now:
            self._searchable = now + _REMEMBERED_SECONDS, await self._generations.table(self._aliases["studies"])
        return self._searchable[1]

    async def successor(self, attributes: AttributeTable) -> OpenSearchIndex:
        names = await self._generations.make_next(attributes)
        return OpenSearchIndex(self._cluster, self._clock, names, self._linger, attributes)

    async def take_over(self) -> None:
        if self._successor is None:
            raise RuntimeError("this index is in use already")
        old = await self._generations.replaceable()
        await self._generations.swap(old, self._successor)
        self._successor, self._replaced = None, old

    async def discard(self) -> None:
        if self._replaced is not None:
            await self._clock.sleep(self._linger)
        unused = self._successor or self._replaced
        if unused is not None:
            await self._generations.remove(list(unused.values()))
            self._replaced = None

    @property
    def _searched(self) -> Names:
        return self._successor or self._aliases

    async def _table(self, names: Names) -> AttributeTable:
        index = names["studies"]
        if index not in self._tables:
            self._tables = {index: await self._generations.table(index)}
        return self._tables[index]

    async def _writable(self) -> Names:
        return self._successor or await self._generations.live()

    async def _sums(self, partition: str, kind: str, sums: Mapping[str, object]) -> tuple[int, dict[str, int]]:
        filters = [{"term": {"partition": partition}}, {"term": {"live": True}}]
        body = {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": filters}}, "aggs": sums}
        answer = await self._client.search(self._searched[kind], body)
        values = {name: int(aggregation["value"]) for name, aggregation in answer.get("aggregations", {}).items()}
        return answer["hits"]["total"]["value"], values


async def open_opensearch_index(
    cluster: OpenSearchCluster,
    clock: Clock,
    linger: float = _LINGER_SECONDS,
    attributes: AttributeTable = STANDARD,
    *,
    any_version: bool = False,
) -> OpenSearchIndex:
    """The index, created for `attributes` if it does not exist, ready for use. Raises `DependencyUnavailable` while the
    cluster is unavailable, `ConfigError` if it does not fit: with `any_version`, an index of another release may only
    be counted and get a successor."""
    if _PREFIX.fullmatch(cluster.prefix) is None:
        raise ConfigError("storage.index", None, f"{cluster.prefix!r}: index names are of a-z, 0-9, '-', '_' and '.'")
    index = OpenSearchIndex(cluster, clock, linger=linger, attributes=attributes)
    try:
        await index.open(any_version=any_version)
    except BaseException:
        await index.close()
        raise
    return index
