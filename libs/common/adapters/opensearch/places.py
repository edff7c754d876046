"""The object stores of receipts: a document for each receipt that was ever relocated.

`hidden` follows from the receipt's deletion state. A relocation writes the place, then reads the deletion
state; a decision writes the deletion state, then reads the place: so the later of the two has seen what the other
wrote.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from gantry.common.adapters.opensearch.client import ABSENT, DEPENDENCY, BulkOperation, OpenSearchClient, rounds
from gantry.common.adapters.opensearch.decision_documents import NOTHING, DecisionDocuments, decision_id
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.errors import DependencyUnavailable
from gantry.common.lifecycle import Place
from gantry.common.ports.index import Relocation

_FIELDS = {
    Level.STUDY: ("study",),
    Level.SERIES: ("study", "series"),
    Level.IMAGE: ("study", "series", "uid"),
}
_PAGE = 2000
_AT_ONCE = 2000


class PlaceDocuments:
    """The places of one generation."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str]) -> None:
        self._client = client
        self._index = names["places"]
        self._decisions = DecisionDocuments(client, names)

    async def of(self, partition: str, receipts: Sequence[str]) -> dict[str, Place]:
        """The places of relocated receipts, in real time."""
        ids = {decision_id(partition, receipt): receipt for receipt in receipts}
        results = await self._client.get(self._index, list(ids), ("at", "store")) if ids else {}
        return {ids[id_]: place for id_, result in results.items() if (place := _place(result.source)) is not None}

    async def note(self, relocations: Sequence[Relocation], clock: Clock) -> None:
        """Note places; an earlier one changes nothing."""
        latest: dict[str, Relocation] = {}
        for relocation in sorted(relocations, key=lambda relocation: relocation.place):
            latest[decision_id(relocation.partition, relocation.receipt)] = relocation
        ids = list(latest)
        for start in range(0, len(ids), _AT_ONCE):
            left = {id_: latest[id_] for id_ in ids[start : start + _AT_ONCE]}
            async for _ in rounds(clock):
                left = await self._round(left)
                if not left:
                    break
        await self.hide(ids, clock)
        await self._client.refresh(self._index)

    async def _round(self, left: dict[str, Relocation]) -> dict[str, Relocation]:
        """Write what is left and later than the stored values; writes that lose a race are left again."""
        results = await self._client.get(self._index, list(left), ("at", "store", "hidden"))
        operations = []
        for id_, relocation in left.items():
            before = results.get(id_, ABSENT)
            known = _place(before.source)
            if known is None or known < relocation.place:
                hidden = before.source is not None and before.source["hidden"]
                operations.append(
                    BulkOperation("index", self._index, id_, _document(relocation, hidden=hidden), before)
                )
        return {id_: left[id_] for id_ in await self._written(operations)}

    async def hide(self, ids: Iterable[str], clock: Clock) -> None:
        """Record for receipts, by the ids of their documents, whether they are hidden now."""
        left = list(dict.fromkeys(ids))
        async for _ in rounds(clock):
            results = await self._client.get(self._index, left, ("hidden",)) if left else {}
            documents = {id_: result for id_, result in results.items() if result.source is not None}
            decision_documents = await self._decisions.get(documents)
            operations = []
            for id_, document in documents.items():
                hidden = decision_documents.get(id_, NOTHING).deletion_state.hidden
                if document.source is not None and document.source["hidden"] != hidden:
                    operations.append(BulkOperation("update", self._index, id_, {"doc": {"hidden": hidden}}, document))
            left = await self._written(operations)
            if operations:
                await self._client.refresh(self._index)
            if not left:
                return

    async def stores_of(
        self, partition: str, level: Level, uids: Collection[tuple[str, ...]], stores: Collection[str]
    ) -> dict[tuple[str, ...], frozenset[str]]:
        """The stores that hold any of the requested objects, as searches see it."""
        places: dict[tuple[str, ...], frozenset[str]] = {}
        fields, keys = _FIELDS[level], set(uids)
        if not keys or not stores:
            return places
        sources = [{name: {"terms": {"field": name}}} for name in (*fields, "store")]
        composite: dict[str, Any] = {"size": _PAGE, "sources": sources}
        filters = [
            {"term": {"partition": partition}},
            {"term": {"hidden": False}},
            {"terms": {"store": sorted(stores)}},
            *({"terms": {name: sorted({key[at] for key in keys})}} for at, name in enumerate(fields)),
        ]
        body = {"size": 0, "query": {"bool": {"filter": filters}}, "aggs": {"places": {"composite": composite}}}
        while True:
            answer = (await self._client.search(self._index, body))["aggregations"]["places"]
            for bucket in answer["buckets"]:
                key = tuple(bucket["key"][name] for name in fields)
                if key in keys:
                    places[key] = places.get(key, frozenset()) | {bucket["key"]["store"]}
            if "after_key" not in answer or len(answer["buckets"]) < _PAGE:
                return places
            composite["after"] = answer["after_key"]

    async def _written(self, operations: Sequence[BulkOperation]) -> list[str]:
        """Write. Returns the ids that another process wrote meanwhile."""
        results = await self._client.bulk(operations) if operations else []
        for result in results:
            if result.refusal:
                raise DependencyUnavailable(DEPENDENCY, f"it refuses where an object is: {result.refusal}")
        return [operation.id for operation, result in zip(operations, results, strict=True) if result.conflict]


def _place(source: Mapping[str, Any] | None) -> Place | None:
    return None if source is None else Place(int(source["at"]), source["store"])


def _document(relocation: Relocation, *, hidden: bool) -> dict[str, Any]:
    return {
        "partition": relocation.partition,
        "study": relocation.instance.study_instance_uid,
        "series": relocation.instance.series_instance_uid,
        "uid": relocation.instance.sop_instance_uid,
        "receipt": relocation.receipt,
        "store": relocation.place.store,
        "at": relocation.place.at,
        "hidden": hidden,
    }
