"""Patients, recomputed from the demographics of their studies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from gantry.common.adapters.opensearch.client import ABSENT, DEPENDENCY, BulkOperation, OpenSearchClient, rounds
from gantry.common.adapters.opensearch.documents import Source, patient_id, patient_source, unpack
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.errors import DependencyUnavailable

_PATIENTS = 1000
_VARIANTS = 200
"""Most variants of a patient in its studies; it is not found by further ones."""


class PatientUpdates:
    """Updates patients."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str], clock: Clock, table: AttributeTable) -> None:
        self._table = table
        self._client = client
        self._names = names
        self._clock = clock

    async def renew(self, partition: str, keys: Iterable[str]) -> None:
        """Update these patients, and make the result visible. The caller has refreshed their studies."""
        every = sorted(keys)
        for start in range(0, len(every), _PATIENTS):
            left: Sequence[str] = every[start : start + _PATIENTS]
            async for _ in rounds(self._clock):
                left = await self._write(partition, left)
                if not left:
                    break
        await self._client.refresh(self._names["patients"])

    async def _write(self, partition: str, keys: Sequence[str]) -> list[str]:
        """Write the patients. Returns those that another process wrote meanwhile."""
        index = self._names["patients"]
        ids = {patient_id(partition, key): key for key in keys}
        results = await self._client.get(index, list(ids), ("uid",))
        sources = {key: source async for key, source in self._computed(partition, keys)}
        operations = []
        for id_, key in ids.items():
            source = sources.get(key, {"partition": partition, "uid": key, "live": False})
            operations.append(BulkOperation("index", index, id_, source, results.get(id_, ABSENT)))
        overtaken = []
        for operation, result in zip(operations, await self._client.bulk(operations), strict=True):
            if result.refusal:
                raise DependencyUnavailable(DEPENDENCY, f"it refuses a patient: {result.refusal}")
            if result.conflict:
                overtaken.append(ids[operation.id])
        return overtaken

    async def _computed(self, partition: str, keys: Sequence[str]) -> AsyncIterator[tuple[str, Source]]:
        first = {"top_hits": {"size": 1, "sort": ["first", "uid"], "_source": ["demographics", "first"]}}
        variants = {"terms": {"field": "variant", "size": _VARIANTS}, "aggs": {"first": first}}
        for bucket in await _grouped(self._client, self._names["studies"], partition, keys, variants=variants):
            hits = [variant["first"]["hits"]["hits"][0] for variant in bucket["variants"]["buckets"]]
            statements = [
                (hit["_source"]["first"], unpack(hit["_source"]["demographics"])) for hit in sorted(hits, key=_when)
            ]
            yield bucket["key"], patient_source(partition, bucket["key"], statements, _counts(bucket), self._table)


async def counts_of_patients(
    client: OpenSearchClient, studies: str, partition: str, keys: Iterable[str]
) -> dict[str, tuple[int, int, int]]:
    """How many studies, series and instances these patients have, from the index of their `studies` now; their own
    documents follow a moment later."""
    return {bucket["key"]: _counts(bucket) for bucket in await _grouped(client, studies, partition, sorted(keys))}


async def _grouped(
    client: OpenSearchClient, studies: str, partition: str, keys: Sequence[str], **more: Any
) -> list[dict[str, Any]]:
    """The studies of these patients, a bucket for each."""
    below = {"series": {"sum": {"field": "series"}}, "instances": {"sum": {"field": "instances"}}, **more}
    body = {
        "size": 0,
        "query": {"bool": {"filter": [*_live(partition), {"terms": {"patient": list(keys)}}]}},
        "aggs": {"patients": {"terms": {"field": "patient", "size": len(keys) or 1}, "aggs": below}},
    }
    answer = await client.search(studies, body)
    buckets: list[dict[str, Any]] = answer["aggregations"]["patients"]["buckets"]
    return buckets


def _counts(bucket: Mapping[str, Any]) -> tuple[int, int, int]:
    return bucket["doc_count"], int(bucket["series"]["value"]), int(bucket["instances"]["value"])


def _when(hit: Mapping[str, Any]) -> list[str]:
    sort: list[str] = hit["sort"]
    return sort


def _live(partition: str) -> list[dict[str, Any]]:
    return [{"term": {"partition": partition}}, {"term": {"live": True}}]
