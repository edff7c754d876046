"""Holds: a document for each study or patient that ever had one, which only grows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from gantry.common.adapters.opensearch.client import (
    ABSENT,
    DEPENDENCY,
    BulkOperation,
    OpenSearchClient,
    SearchResult,
    rounds,
)
from gantry.common.adapters.opensearch.documents import study_id
from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.index import HoldChange, StandingHolds

_NAMES = ("placed", "released")
_PAGE = 500


class Holds:
    """The holds of one generation. They are read in real time, so that nothing has to be refreshed."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str]) -> None:
        self._client = client
        self._index = names["holds"]

    async def standing(self, partition: str, study: str) -> list[str]:
        """The holds in force on a study, in order."""
        id_ = study_id(partition, study)
        results = await self._client.get(self._index, [id_], _NAMES)
        source = results.get(id_, ABSENT).source
        return [] if source is None else sorted(set(source["placed"]) - set(source["released"]))

    async def among(self, partition: str, holders: Collection[str]) -> frozenset[str]:
        """The held ones of some studies and patients."""
        ids = {study_id(partition, holder): holder for holder in holders}
        results = await self._client.get(self._index, list(ids), _NAMES) if ids else {}
        sources = {id_: result.source for id_, result in results.items() if result.source is not None}
        return frozenset(ids[id_] for id_, source in sources.items() if set(source["placed"]) - set(source["released"]))

    async def held(self, partition: str, after: str) -> AsyncIterator[list[StandingHolds]]:
        """Studies and patients under holds, after a given one, in pages."""
        await self._client.refresh(self._index)
        body: dict[str, Any] = {
            "size": _PAGE,
            "query": {"bool": {"filter": [{"term": {"partition": partition}}]}},
            "sort": ["study"],
            "_source": ["study", *_NAMES],
            "track_total_hits": False,
            "search_after": [after],
        }
        while hits := (await self._client.search(self._index, body))["hits"]["hits"]:
            sources = [hit["_source"] for hit in hits]
            rows = [
                (source["study"], tuple(sorted(set(source["placed"]) - set(source["released"])))) for source in sources
            ]
            if page := [StandingHolds(holder, holds) for holder, holds in rows if holds]:
                yield page
            body["search_after"] = hits[-1]["sort"]

    async def note(self, changes: Sequence[HoldChange], clock: Clock) -> None:
        """Note holds placed and released."""
        left: dict[str, list[HoldChange]] = {}
        for change in changes:
            left.setdefault(study_id(change.partition, change.study_instance_uid), []).append(change)
        async for _ in rounds(clock):
            left = await self._round(left)
            if not left:
                return

    async def _round(self, left: dict[str, list[HoldChange]]) -> dict[str, list[HoldChange]]:
        """Write what is left; writes that lose a race are left again."""
        documents = await self._client.get(self._index, list(left), _NAMES)
        operations = [
            BulkOperation(
                "index",
                self._index,
                id_,
                _with_changes(documents.get(id_, ABSENT), changes),
                documents.get(id_, ABSENT),
            )
            for id_, changes in left.items()
        ]
        results = await self._client.bulk(operations)
        for result in results:
            if result.refusal:
                raise DependencyUnavailable(DEPENDENCY, f"it refuses a hold: {result.refusal}")
        return {o.id: left[o.id] for o, result in zip(operations, results, strict=True) if result.conflict}


def _with_changes(result: SearchResult, changes: Sequence[HoldChange]) -> dict[str, object]:
    before = result.source or {"placed": [], "released": []}
    placed = {change.hold for change in changes if change.placed} | set(before["placed"])
    released = {change.hold for change in changes if not change.placed} | set(before["released"])
    return {
        "partition": changes[0].partition,
        "study": changes[0].study_instance_uid,
        "placed": sorted(placed),
        "released": sorted(released),
    }
