"""Receipts of an instance with too many for its document: each gets a document of its own.

A receipt is first written into its instance's document, with the counts, under `_seq_no`: so it is counted once.
Receipts in that document that do not decide are moved out later (`shorten`): first the receipts' own documents are
written, as often as it takes, then the instance's document without them, if it is unchanged since. So every applied
receipt is in one of the two places, or for a while in both, and an instance's document has at most `MOST_NEAR` of them
plus those of the current batch.

To find a receipt, read first the instance's document and then the receipt's own: what the former no longer holds was in
the latter before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gantry.common.adapters.election import Candidate, Election, key_of
from gantry.common.adapters.opensearch.client import DEPENDENCY, BulkOperation, OpenSearchClient, SearchResult
from gantry.common.adapters.opensearch.decision_documents import DecisionDocuments
from gantry.common.adapters.opensearch.documents import (
    Hit,
    Source,
    instance_id,
    moved_receipts,
    receipt_id,
    receipt_row,
    receipt_source,
    shortened,
)
from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.index import InstanceEntry

_SIDE = ("receipt", "digest", "transfer_syntax")
_PAGE = 1000


class Receipts:
    """The receipts of one generation that lie outside the instances' documents."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str]) -> None:
        self._client = client
        self._decisions = DecisionDocuments(client, names)
        self._instances, self._receipts = names["instances"], names["receipts"]

    async def known(
        self, entries: Iterable[InstanceEntry], results: Mapping[str, SearchResult]
    ) -> dict[str, list[Candidate]]:
        """The receipts of `entries`, by instance (id), that are known but not in the documents `results`."""
        instances: dict[str, str] = {}
        for entry in entries:
            instance = instance_id(entry.partition, key_of(entry))
            if instance in results and moved_receipts(results[instance].source):
                instances[receipt_id(instance, entry.receipt)] = instance
        sides: dict[str, list[Candidate]] = {}
        for key, result in (
            await self._client.get(self._receipts, list(instances), _SIDE) if instances else {}
        ).items():
            if result.source is not None:
                sides.setdefault(instances[key], []).append(Candidate(*(result.source[field] for field in _SIDE)))
        return sides

    async def aside(self, entry: InstanceEntry, election: Election, before: Source | None) -> int:
        """How many of the receipts of an instance that are not in its document have other bytes than the one that is
        current now. `entry` is one of the instance's, `before` its document as it was read."""
        moved = moved_receipts(before)
        if not moved or before is None:
            return 0
        if not election.displaced:
            aside: int = before["receipts"]["moved_aside"]
            return aside
        current = election.current_side
        # Another process may be moving some that are still counted in the instance's document.
        near = {row[0] for row in before["receipts"]["near"]}
        rows = await self.moved(instance_id(entry.partition, key_of(entry)))
        return sum(row[0] not in near and not Candidate(*row[:3]).same_bytes(current) for row in rows)

    async def moved(self, instance: str) -> list[Hit]:
        """The receipts of an instance (id) that have documents of their own and are not hidden, the earliest first."""
        rows = await self.rows_of(instance)
        hidden = await self._decisions.hidden(instance.partition(":")[0], [row[0] for row in rows])
        return [row for row in rows if row[0] not in hidden]

    async def rows_of(self, instance: str) -> list[Hit]:
        """The same, including those hidden but not removed yet: a process that moves one may not know that it is
        hidden."""
        await self._client.refresh(self._receipts)
        body = {"size": _PAGE, "query": {"term": {"instance": instance}}, "sort": ["receipt"]}
        rows: list[Hit] = []
        while True:
            hits = (await self._client.search(self._receipts, body))["hits"]["hits"]
            rows += [receipt_row(hit["_source"]) for hit in hits]
            if len(hits) < _PAGE:
                return rows
            body["search_after"] = hits[-1]["sort"]

    async def lose(self, instance: str, receipts: Iterable[str]) -> None:
        """Mark receipts of an instance (id) that have documents of their own as lost."""
        ids = [receipt_id(instance, receipt) for receipt in receipts]
        known = await self._client.get(self._receipts, ids, ("lost",))
        await self._write(
            BulkOperation("update", self._receipts, key, {"doc": {"lost": True}}, known[key]) for key in known
        )

    async def remove(self, instance: str, receipts: Sequence[str]) -> None:
        """Remove the documents of receipts of an instance (id)."""
        if receipts:
            ids = [receipt_id(instance, receipt) for receipt in receipts]
            await self._write(BulkOperation("delete", self._receipts, id_, {}) for id_ in ids)

    async def shorten(self, instances: Mapping[str, SearchResult]) -> None:
        """Move receipts that do not decide out of documents of instances that are too long, as they were read or
        written. If another process has written one since, that process does it."""
        moving = {
            key: (result, move) for key, result in instances.items() if (move := shortened(result.source)) is not None
        }
        if not moving:
            return
        await self._write(
            BulkOperation("index", self._receipts, receipt_id(key, row[0]), receipt_source(key, row))
            for key, (_, move) in moving.items()
            for row in move.moved
        )
        await self._write(
            BulkOperation("update", self._instances, key, {"doc": {"receipts": move.receipts}}, result)
            for key, (result, move) in moving.items()
        )

    async def _write(self, operations: Iterable[BulkOperation]) -> None:
        every: Sequence[BulkOperation] = list(operations)
        for result in await self._client.bulk(every):
            if result.refusal:
                raise DependencyUnavailable(DEPENDENCY, f"it refuses a receipt: {result.refusal}")
