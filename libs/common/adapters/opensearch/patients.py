"""Patients, computed anew from their studies; and what studies carry of their patient so that they are found by it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from libs.common.adapters.opensearch.client import (
    ABSENT,
    DEPENDENCY,
    Client,
    Found,
    Operation,
    rounds,
)
from libs.common.adapters.opensearch.documents import Source, carried_terms, patient_id, patient_source, unpack
from libs.common.clock import Clock
from libs.common.dicom.attributes import AttributeTable
from libs.common.errors import DependencyUnavailable

_PATIENTS = 1000
_PAGE = 1000
# A later computation of the patient than the one the study knows of. `patient_seq` is the _seq_no it was written with.
_CARRY = (
    "if (ctx._source.patient == params.patient && ctx._source.patient_seq < params.seq)"
    " { ctx._source.p = params.p; ctx._source.patient_terms = params.terms; ctx._source.patient_seq = params.seq }"
    " else { ctx.op = 'noop' }"
)


@dataclass(frozen=True, slots=True)
class _Carried:
    """What studies are to carry of a patient, and the `_seq_no` of the patient's document."""

    terms: str
    p: Source
    seq_no: int


class Patients:
    """Keeps patients true, and their studies findable by them."""

    def __init__(self, client: Client, names: Mapping[str, str], clock: Clock, table: AttributeTable) -> None:
        self._table = table
        self._client = client
        self._names = names
        self._clock = clock

    async def renew(self, partition: str, keys: Iterable[str]) -> None:
        """Bring these patients up to date, and make it seen. Their studies have been refreshed."""
        every = sorted(keys)
        told = False
        for start in range(0, len(every), _PATIENTS):
            told |= await self._renew(partition, every[start : start + _PATIENTS])
        # One request for both: each takes a moment, however little there is.
        await self._client.refresh(*[self._names[kind] for kind in ("patients", "studies")[: 1 + told]])

    async def _renew(self, partition: str, keys: Sequence[str]) -> bool:
        """Whether studies were written."""
        left = keys
        async for _ in rounds(self._clock):
            left = await self._write(partition, left)
            if not left:
                break
        return await self._tell(partition, keys)

    async def _write(self, partition: str, keys: Sequence[str]) -> list[str]:
        """Write the patients; those that somebody else wrote meanwhile are returned."""
        index = self._names["patients"]
        ids = {patient_id(partition, key): key for key in keys}
        found = await self._client.get(index, list(ids), ("uid",))
        sources = {key: source async for key, source in self._computed(partition, keys)}
        operations = []
        for id_, key in ids.items():
            source = sources.get(key, {"partition": partition, "uid": key, "live": False})
            operations.append(Operation("index", index, id_, source, found.get(id_, ABSENT)))
        overtaken = []
        for operation, result in zip(operations, await self._client.bulk(operations), strict=True):
            if result.refusal:
                raise DependencyUnavailable(DEPENDENCY, f"it refuses a patient: {result.refusal}")
            if result.conflict:
                overtaken.append(ids[operation.id])
        return overtaken

    async def _tell(self, partition: str, keys: Sequence[str]) -> bool:
        """Have the studies carry what the patients' documents say, until those say nothing new: somebody may write one
        while we tell the studies what it said before. Whether studies were written."""
        ids = {patient_id(partition, key): key for key in keys}
        told: dict[str, int] = {}
        wrote = False
        async for again in rounds(self._clock):
            found = await self._client.get(self._names["patients"], list(ids), ("attributes",))
            news = {
                ids[id_]: _carried(ids[id_], one, self._table)
                for id_, one in found.items()
                if told.get(ids[id_]) != one.seq_no
            }
            if not news:
                break
            if again and wrote:
                await self._client.refresh(self._names["studies"])
            wrote |= await self._carry(partition, news)
            told |= {key: one.seq_no for key, one in news.items()}
        return wrote

    async def _computed(self, partition: str, keys: Sequence[str]) -> AsyncIterator[tuple[str, Source]]:
        below: dict[str, Any] = {
            "series": {"sum": {"field": "series"}},
            "instances": {"sum": {"field": "instances"}},
            "first": {"top_hits": {"size": 1, "sort": ["first", "uid"], "_source": ["of_patient", "first"]}},
        }
        body = {
            "size": 0,
            "query": {"bool": {"filter": [*_live(partition), {"terms": {"patient": list(keys)}}]}},
            "aggs": {"patients": {"terms": {"field": "patient", "size": len(keys) or 1}, "aggs": below}},
        }
        answer = await self._client.search(self._names["studies"], body)
        for bucket in answer["aggregations"]["patients"]["buckets"]:
            (first,) = bucket["first"]["hits"]["hits"]
            counts = bucket["doc_count"], int(bucket["series"]["value"]), int(bucket["instances"]["value"])
            stored = unpack(first["_source"]["of_patient"])
            yield (
                bucket["key"],
                patient_source(partition, bucket["key"], first["_source"]["first"], stored, counts, self._table),
            )

    async def _carry(self, partition: str, carried: Mapping[str, _Carried]) -> bool:
        """Tell the studies that carry something else of their patient; whether there were any."""
        told = False
        async for page in self._differing(partition, carried):
            operations = [
                Operation("update", self._names["studies"], hit["_id"], _update(patient, carried[patient]))
                for hit in page
                if (patient := hit["_source"]["patient"]) in carried
            ]
            await self._client.bulk(operations)
            told = True
        return told

    async def _differing(self, partition: str, carried: Mapping[str, _Carried]) -> AsyncIterator[list[dict[str, Any]]]:
        if not carried:
            return
        body: dict[str, Any] = {
            "size": _PAGE,
            "query": {
                "bool": {
                    "filter": [*_live(partition), {"terms": {"patient": list(carried)}}],
                    "must_not": [{"terms": {"patient_terms": [one.terms for one in carried.values()]}}],
                }
            },
            "sort": ["uid"],
            "_source": ["patient"],
        }
        while True:
            hits = (await self._client.search(self._names["studies"], body))["hits"]["hits"]
            if hits:
                yield hits
            if len(hits) < _PAGE:
                return
            body["search_after"] = hits[-1]["sort"]


def _live(partition: str) -> list[dict[str, Any]]:
    return [{"term": {"partition": partition}}, {"term": {"live": True}}]


def _carried(patient: str, found: Found, table: AttributeTable) -> _Carried:
    source = found.source or {}
    attributes = unpack(source["attributes"]) if "attributes" in source else {}
    terms, named = carried_terms(patient, attributes, table)
    return _Carried(named, terms, found.seq_no)


def _update(patient: str, carried: _Carried) -> dict[str, Any]:
    parameters = {"patient": patient, "seq": carried.seq_no, "p": carried.p, "terms": carried.terms}
    return {"script": {"lang": "painless", "source": _CARRY, "params": parameters}}
