"""Entries into the indices: instances first, then everything above them anew.

Any step may be repeated, and by several processes at once. An instance's document holds all its receipts and is only
replaced where it still is what was read; a writer that lost a race reads again. What is above is computed from what
searches see, after a refresh (`summaries`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from libs.common.adapters.election import Election
from libs.common.adapters.opensearch.client import ABSENT, Client, Found, Operation, Written, rounds
from libs.common.adapters.opensearch.documents import (
    election_of,
    instance_id,
    instance_source,
    receipts_source,
)
from libs.common.adapters.opensearch.summaries import Summaries
from libs.common.clock import Clock
from libs.common.dicom.attributes import AttributeTable
from libs.common.errors import EntryRefused
from libs.common.ports.index import Applied, InstanceEntry

_READ = ("study", "series", "receipts")


@dataclass(slots=True)
class _Work:
    """One instance of a batch: its entries by their place in the batch."""

    positions: list[int] = field(default_factory=list)
    entries: list[InstanceEntry] = field(default_factory=list)


class Applying:
    """One call of `apply` against the indices of one generation."""

    def __init__(self, client: Client, names: dict[str, str], clock: Clock, table: AttributeTable) -> None:
        """`names` are the indices by kind, made for the attributes in `table`."""
        self._table = table
        self._client = client
        self._names = names
        self._clock = clock
        self._touched: dict[str, set[tuple[str, str]]] = {}
        """Partitions, and in each the series that may have changed: study and series."""

    async def apply(self, entries: Sequence[InstanceEntry]) -> list[Applied]:
        """See `SearchIndex`."""
        outcomes: list[Applied | None] = [None] * len(entries)
        left: dict[str, _Work] = {}
        for position, entry in enumerate(entries):
            work = left.setdefault(instance_id(entry.partition, entry.sop_instance_uid), _Work())
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
        return [outcome for outcome in outcomes if outcome is not None]

    async def _round(self, left: dict[str, _Work], outcomes: list[Applied | None]) -> dict[str, _Work]:
        """Take in what is left; what lost a race is left again."""
        found = await self._client.get(self._names["instances"], list(left), _READ)
        operations: list[Operation] = []
        for key, work in left.items():
            before = found.get(key, ABSENT)
            election = election_of(before.source)
            for position, entry in zip(work.positions, work.entries, strict=True):
                outcomes[position] = election.take(entry)
            self._touch(work.entries[0].partition, before, election, work.entries)
            if election.new:
                operations.append(self._operation(key, before, election))
        written = await self._client.bulk(operations)
        return self._lost(left, operations, written)

    def _operation(self, key: str, before: Found, election: Election) -> Operation:
        told = receipts_source(election, before.source)
        index = self._names["instances"]
        if election.current is not None:
            return Operation("index", index, key, {**instance_source(election.current, self._table), **told}, before)
        return Operation("update", index, key, {"doc": told}, before)

    def _touch(self, partition: str, before: Found, election: Election, entries: Iterable[InstanceEntry]) -> None:
        touched = self._touched.setdefault(partition, set())
        if before.source is not None:
            touched.add((before.source["study"], before.source["series"]))
        # Also where nothing is new: whoever took it in before may not have lived to tell the study.
        touched.update((entry.study_instance_uid, entry.series_instance_uid) for entry in entries)

    def _lost(
        self, left: dict[str, _Work], operations: Sequence[Operation], written: Sequence[Written]
    ) -> dict[str, _Work]:
        lost: dict[str, _Work] = {}
        for operation, result in zip(operations, written, strict=True):
            if result.refusal:
                raise EntryRefused(left[operation.id].positions[0], result.refusal)
            if result.conflict:
                lost[operation.id] = left[operation.id]
        return lost
