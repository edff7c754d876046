"""Entries into the indices: instances first, then everything above them anew.

Any step may be repeated, and by several processes at once. An instance's document holds its receipts, or those that
decide (`receipts`), and is only replaced where it still is what was read; a writer that lost a race reads again. What
is above is computed from what searches see, after a refresh (`summaries`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gantry.common.adapters.election import Election, key_of, with_namesake
from gantry.common.adapters.opensearch.client import (
    ABSENT,
    BulkOperation,
    BulkResult,
    OpenSearchClient,
    SearchResult,
    rounds,
)
from gantry.common.adapters.opensearch.documents import (
    Source,
    election_of,
    instance_id,
    instance_source,
    is_lost,
    readable_place,
    receipts_source,
    with_loss,
)
from gantry.common.adapters.opensearch.receipts import Receipts
from gantry.common.adapters.opensearch.summaries import Summaries
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.errors import EntryRefused
from gantry.common.ports.index import Applied, InstanceEntry, Loss, Namesake

_READ = ("receipts",)


@dataclass(slots=True)
class _Work:
    """One instance of a batch: its entries by their place in the batch."""

    positions: list[int] = field(default_factory=list)
    entries: list[InstanceEntry] = field(default_factory=list)


class Applying:
    """One call of `apply` against the indices of one generation."""

    def __init__(self, client: OpenSearchClient, names: dict[str, str], clock: Clock, table: AttributeTable) -> None:
        """`names` are the indices by kind, made for the attributes in `table`."""
        self._table = table
        self._client = client
        self._names = names
        self._clock = clock
        self._receipts = Receipts(client, names)
        self._touched: dict[str, set[tuple[str, str]]] = {}
        """Partitions, and in each the series that may have changed: study and series."""

    async def apply(self, entries: Sequence[InstanceEntry]) -> list[Applied]:
        """See `SearchIndex`."""
        outcomes: list[Applied | None] = [None] * len(entries)
        left: dict[str, _Work] = {}
        for position, entry in enumerate(entries):
            work = left.setdefault(instance_id(entry.partition, key_of(entry)), _Work())
            work.positions.append(position)
            work.entries.append(entry)
        async for _ in rounds(self._clock):
            left = await self._round(left, outcomes)
            if not left:
                break
        await self._client.refresh(self._names["instances"])
        summaries = Summaries(self._client, self._names, self._clock, self._table)
        for partition, series in self._touched.items():
            await summaries.renew(partition, series)
        earliest = await self._earliest(entries)
        return [
            with_namesake(entry, outcome, earliest.get((entry.partition, entry.sop_instance_uid), ()))
            for entry, outcome in zip(entries, outcomes, strict=True)
            if outcome is not None
        ]

    async def lose(self, losses: Sequence[Loss]) -> None:
        """See `SearchIndex`."""
        left: dict[str, set[str]] = {}
        for loss in losses:
            left.setdefault(instance_id(loss.partition, loss.instance), set()).add(loss.receipt)
        async for _ in rounds(self._clock):
            left = await self._lose(left)
            if not left:
                break
        await self._client.refresh(self._names["instances"])

    async def _lose(self, left: dict[str, set[str]]) -> dict[str, set[str]]:
        """Mark what is left; what lost a race is left again."""
        found = await self._client.get(self._names["instances"], list(left), _READ)
        operations = []
        for key, one in found.items():
            if one.source is None:
                continue
            if one.source["receipts"]["moved"]:
                await self._receipts.lose(key, left[key])
            receipts = with_loss(one.source["receipts"], left[key])
            doc = {"receipts": receipts, "place": await self._place(key, receipts)}
            operations.append(BulkOperation("update", self._names["instances"], key, {"doc": doc}, one))
        written = await self._client.bulk(operations)
        return {o.id: left[o.id] for o, result in zip(operations, written, strict=True) if result.conflict}

    async def _place(self, key: str, receipts: Source) -> Source:
        """Where an instance (id) is to be read from."""
        rows = list(receipts["near"])
        if is_lost(receipts) and receipts["moved"]:
            rows += await self._receipts.moved(key)
        return readable_place(rows, receipts)

    async def _earliest(self, entries: Sequence[InstanceEntry]) -> dict[tuple[str, str], list[Namesake]]:
        """By partition and SOP Instance UID, the two earliest instances of each that several have."""
        uids: dict[str, set[str]] = {}
        for entry in entries:
            uids.setdefault(entry.partition, set()).add(entry.sop_instance_uid)
        found: dict[tuple[str, str], list[Namesake]] = {}
        first = {"top_hits": {"size": 2, "sort": ["first", "series"], "_source": ["study", "series", "first", "place"]}}
        for partition, some in uids.items():
            which = [{"term": {"partition": partition}}, {"terms": {"uid": sorted(some)}}]
            several = {"terms": {"field": "uid", "min_doc_count": 2, "size": len(some)}, "aggs": {"first": first}}
            body = {"size": 0, "query": {"bool": {"filter": which}}, "aggs": {"several": several}}
            answer = await self._client.search(self._names["instances"], body)
            for bucket in answer["aggregations"]["several"]["buckets"]:
                sources = [hit["_source"] for hit in bucket["first"]["hits"]["hits"]]
                found[partition, bucket["key"]] = [
                    Namesake(s["study"], s["series"], s["first"], s["place"]["digest"]) for s in sources
                ]
        return found

    async def _round(self, left: dict[str, _Work], outcomes: list[Applied | None]) -> dict[str, _Work]:
        """Take in what is left; what lost a race is left again."""
        found = await self._client.get(self._names["instances"], list(left), _READ)
        elsewhere = await self._receipts.known((entry for work in left.values() for entry in work.entries), found)
        operations: list[BulkOperation] = []
        for key, work in left.items():
            before = found.get(key, ABSENT)
            election = election_of(before.source, elsewhere.get(key, ()))
            for position, entry in zip(work.positions, work.entries, strict=True):
                outcomes[position] = election.take(entry)
            self._touch(work.entries[0].partition, work.entries)
            if election.new:
                operations.append(await self._operation(key, before, election))
        written = await self._client.bulk(operations)
        lost = self._lost(left, operations, written)
        now = {o.id: _as_written(o, w) for o, w in zip(operations, written, strict=True)}
        await self._receipts.shorten({key: now.get(key, found.get(key, ABSENT)) for key in left if key not in lost})
        return lost

    async def _operation(self, key: str, before: SearchResult, election: Election) -> BulkOperation:
        moved_aside = await self._receipts.aside(election.new[0], election, before.source)
        told = receipts_source(election, moved_aside, before.source)
        index = self._names["instances"]
        if election.current is not None:
            source = {**instance_source(election.current, self._table), **told}
            return BulkOperation("index", index, key, source, before)
        if is_lost(told["receipts"]):
            # What has come now may be what can be read.
            told["place"] = await self._place(key, told["receipts"])
        return BulkOperation("update", index, key, {"doc": told}, before)

    def _touch(self, partition: str, entries: Iterable[InstanceEntry]) -> None:
        # Also where nothing is new: whoever took it in before may not have lived to tell the study.
        touched = self._touched.setdefault(partition, set())
        touched.update((entry.study_instance_uid, entry.series_instance_uid) for entry in entries)

    def _lost(
        self, left: dict[str, _Work], operations: Sequence[BulkOperation], written: Sequence[BulkResult]
    ) -> dict[str, _Work]:
        lost: dict[str, _Work] = {}
        for operation, result in zip(operations, written, strict=True):
            if result.refusal:
                raise EntryRefused(left[operation.id].positions[0], result.refusal)
            if result.conflict:
                lost[operation.id] = left[operation.id]
        return lost


def _as_written(operation: BulkOperation, written: BulkResult) -> SearchResult:
    """What lies there once an operation is done, as far as it tells of receipts."""
    before = operation.found.source if operation.found is not None else None
    return SearchResult(
        {**(before or {}), **operation.body.get("doc", operation.body)}, written.seq_no, written.primary_term
    )
