"""Writes entries into the indices: instances first, then all levels above them are recomputed.

Any step may be repeated, and by several processes at once. An instance's document holds its receipts, or those that
decide (`receipts`), and is only replaced if it is unchanged since it was read; a writer that lost a race reads again.
Hidden receipts are not in it: their entries are stored with the decisions about them (`decision_documents`). The
levels above are computed by searches, after a refresh (`summaries`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gantry.common.adapters.election import Election, key_of, with_namesake
from gantry.common.adapters.opensearch.client import (
    ABSENT,
    BulkOperation,
    OpenSearchClient,
    OperationResult,
    SearchResult,
    rounds,
)
from gantry.common.adapters.opensearch.decision_documents import (
    NOTHING,
    DecisionDocument,
    DecisionDocuments,
    decision_id,
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
from gantry.common.adapters.opensearch.settling import WHOLE, aside_entries, displaced_entry
from gantry.common.adapters.opensearch.summaries import Summaries
from gantry.common.adapters.past_receipts import PastReceipt
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.errors import EntryRefused
from gantry.common.ports.index import Applied, InstanceEntry, Loss, Namesake, Outcome

_READ = ("receipts",)
_Kept = list[tuple[PastReceipt, DecisionDocument]]
"""Entries to be stored in the documents of their receipts, each with that document as it was read."""


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
        self._decisions = DecisionDocuments(client, names)
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
        await self._client.refresh(self._names["instances"], self._names["fates"])
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
        await self._lose_hidden({decision_id(loss.partition, loss.receipt) for loss in losses})
        left: dict[str, set[str]] = {}
        for loss in losses:
            left.setdefault(instance_id(loss.partition, loss.instance), set()).add(loss.receipt)
        async for _ in rounds(self._clock):
            left = await self._lose(left)
            if not left:
                break
        await self._client.refresh(self._names["instances"])

    async def _lose_hidden(self, left: set[str]) -> None:
        """Mark these receipts (ids of their documents) if they are hidden or may be: a restoring process reads this
        after the instance's document, which is written below."""
        async for _ in rounds(self._clock):
            decision_documents = await self._decisions.get(left)
            operations = [
                self._decisions.losing(id_, decision_document)
                for id_, decision_document in decision_documents.items()
                if not decision_document.lost
            ]
            written = await self._client.bulk(operations)
            left = {o.id for o, result in zip(operations, written, strict=True) if result.conflict}
            if not left:
                return

    async def _lose(self, left: dict[str, set[str]]) -> dict[str, set[str]]:
        """Mark what is left; writes that lose a race are left again."""
        results = await self._client.get(self._names["instances"], list(left), _READ)
        operations = []
        for key, document in results.items():
            if document.source is None:
                continue
            if document.source["receipts"]["moved"]:
                await self._receipts.lose(key, left[key])
            receipts = with_loss(document.source["receipts"], left[key])
            doc = {"receipts": receipts, "place": await self._place(key, receipts)}
            # Written even if nothing changes: a process that restores one meanwhile must read again.
            body = {"doc": doc, "detect_noop": False}
            operations.append(BulkOperation("update", self._names["instances"], key, body, document))
        written = await self._client.bulk(operations)
        return {o.id: left[o.id] for o, result in zip(operations, written, strict=True) if result.conflict}

    async def _place(self, key: str, receipts: Source) -> Source:
        """The place from which an instance (id) is to be read."""
        rows = list(receipts["near"])
        if is_lost(receipts) and receipts["moved"]:
            rows += await self._receipts.moved(key)
        return readable_place(rows, receipts)

    async def _earliest(self, entries: Sequence[InstanceEntry]) -> dict[tuple[str, str], list[Namesake]]:
        """The two earliest instances of each SOP Instance UID that several have, by partition and UID."""
        uids: dict[str, set[str]] = {}
        for entry in entries:
            uids.setdefault(entry.partition, set()).add(entry.sop_instance_uid)
        namesakes: dict[tuple[str, str], list[Namesake]] = {}
        first = {"top_hits": {"size": 2, "sort": ["first", "series"], "_source": ["study", "series", "first", "place"]}}
        for partition, batch in uids.items():
            filters = [{"term": {"partition": partition}}, {"term": {"live": True}}, {"terms": {"uid": sorted(batch)}}]
            several = {"terms": {"field": "uid", "min_doc_count": 2, "size": len(batch)}, "aggs": {"first": first}}
            body = {"size": 0, "query": {"bool": {"filter": filters}}, "aggs": {"several": several}}
            answer = await self._client.search(self._names["instances"], body)
            for bucket in answer["aggregations"]["several"]["buckets"]:
                sources = [hit["_source"] for hit in bucket["first"]["hits"]["hits"]]
                namesakes[partition, bucket["key"]] = [
                    Namesake(s["study"], s["series"], s["first"], s["place"]["digest"]) for s in sources
                ]
        return namesakes

    async def _round(self, left: dict[str, _Work], outcomes: list[Applied | None]) -> dict[str, _Work]:
        """Apply what is left; writes that lose a race are left again."""
        entries = [entry for work in left.values() for entry in work.entries]
        results = await self._client.get(self._names["instances"], list(left), WHOLE)
        # After the instances' documents: `deciding` explains why.
        decision_documents = await self._decisions.get(decision_id(entry.partition, entry.receipt) for entry in entries)
        elsewhere = await self._receipts.known(entries, results)
        elections: dict[str, Election] = {}
        receipts: dict[str, _Kept] = {}
        for key, work in left.items():
            source = results.get(key, ABSENT).source
            elections[key] = election_of(source, elsewhere.get(key, ()))
            hidden = self._take(work, elections[key], decision_documents, outcomes)
            receipts[key] = [*hidden, *await self._displaced(work, elections[key], source, decision_documents)]
        lost = await self._keep(left, receipts)
        operations = [
            await self._operation(key, results.get(key, ABSENT), election)
            for key, election in elections.items()
            if election.new and key not in lost
        ]
        written = await self._client.bulk(operations)
        lost |= self._lost(left, operations, written)
        now = {o.id: _as_written(o, w) for o, w in zip(operations, written, strict=True)}
        await self._receipts.shorten({key: now.get(key, results.get(key, ABSENT)) for key in left if key not in lost})
        return lost

    def _take(
        self,
        work: _Work,
        election: Election,
        decision_documents: Mapping[str, DecisionDocument],
        outcomes: list[Applied | None],
    ) -> _Kept:
        """Set the outcomes of an instance's entries. Returns those of hidden receipts, to be stored."""
        hidden: dict[str, tuple[PastReceipt, DecisionDocument]] = {}
        for position, entry in zip(work.positions, work.entries, strict=True):
            decision_document = decision_documents.get(decision_id(entry.partition, entry.receipt), NOTHING)
            if not decision_document.deletion_state.hidden:
                outcomes[position] = election.take(entry)
                self._touch(entry)
                continue
            outcomes[position] = Applied(Outcome.DELETED)
            if not decision_document.kept and not decision_document.deletion_state.collected:
                hidden[entry.receipt] = PastReceipt(entry, lost=False), decision_document
        return list(hidden.values())

    async def _displaced(
        self, work: _Work, election: Election, source: Source | None, decision_documents: Mapping[str, DecisionDocument]
    ) -> _Kept:
        """The entries that do not follow from the current one, and are not stored yet."""
        if not election.new:
            return []
        entries, known = list(election.new), dict(decision_documents)
        if election.overtaken and source is not None:
            entries.append(before := displaced_entry(source))
            known |= await self._decisions.get([decision_id(before.partition, before.receipt)])
        aside = [
            (PastReceipt(entry, lost=False), known.get(decision_id(entry.partition, entry.receipt), NOTHING))
            for entry in aside_entries(entries, election, source)
        ]
        # If it was collected since the instance's document was read, that document has been written since, too.
        return [
            (receipt, decision_document)
            for receipt, decision_document in aside
            if not decision_document.deletion_state.collected
        ]

    async def _keep(self, left: Mapping[str, _Work], receipts: Mapping[str, _Kept]) -> dict[str, _Work]:
        """Store entries before the instances' documents. Returns the writes that lost a race."""
        operations = [
            (key, self._decisions.keeping(known, decision_document))
            for key, group in receipts.items()
            for known, decision_document in group
            if not decision_document.kept
        ]
        written = await self._client.bulk(operation for _, operation in operations)
        lost: dict[str, _Work] = {}
        for (key, _), result in zip(operations, written, strict=True):
            if result.refusal:
                raise EntryRefused(left[key].positions[0], result.refusal)
            if result.conflict:
                lost[key] = left[key]
        return lost

    async def _operation(self, key: str, before: SearchResult, election: Election) -> BulkOperation:
        moved_aside = await self._receipts.aside(election.new[0], election, before.source)
        fields = receipts_source(election, moved_aside, before.source)
        index = self._names["instances"]
        if election.current is not None:
            source = {**instance_source(election.current, self._table), **fields}
            return BulkOperation("index", index, key, source, before)
        if is_lost(fields["receipts"]):
            # The new receipt may be the readable one.
            fields["place"] = await self._place(key, fields["receipts"])
        return BulkOperation("update", index, key, {"doc": fields}, before)

    def _touch(self, entry: InstanceEntry) -> None:
        # Even if nothing is new: a process that applied it before may have died before it updated the study.
        touched = self._touched.setdefault(entry.partition, set())
        touched.add((entry.study_instance_uid, entry.series_instance_uid))

    def _lost(
        self, left: dict[str, _Work], operations: Sequence[BulkOperation], written: Sequence[OperationResult]
    ) -> dict[str, _Work]:
        lost: dict[str, _Work] = {}
        for operation, result in zip(operations, written, strict=True):
            if result.refusal:
                raise EntryRefused(left[operation.id].positions[0], result.refusal)
            if result.conflict:
                lost[operation.id] = left[operation.id]
        return lost


def _as_written(operation: BulkOperation, written: OperationResult) -> SearchResult:
    """The receipts in the document once an operation is done."""
    before = operation.found.source if operation.found is not None else None
    return SearchResult(
        {**(before or {}), **operation.body.get("doc", operation.body)}, written.seq_no, written.primary_term
    )
