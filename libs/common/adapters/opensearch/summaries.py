"""Series, studies and patients, computed anew from what is below them.

Who computes reads the place where the result will go (`_seq_no`), then what is below, then writes where nobody has
written since. What is empty is written, too. Everybody refreshes what is below before that. So of two writers the later
one has seen what both knew, and a writer that was overtaken begins again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from gantry.common.adapters.opensearch.client import (
    ABSENT,
    DEPENDENCY,
    BulkOperation,
    BulkResult,
    OpenSearchClient,
    SearchResult,
    rounds,
)
from gantry.common.adapters.opensearch.documents import (
    SeriesSummary,
    Source,
    series_id,
    series_source,
    study_id,
    study_source,
    unpack,
)
from gantry.common.adapters.opensearch.patients import Patients
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.errors import DependencyUnavailable

_STUDIES = 1000
_BUCKETS = 1000
_CLASSES = 1000
_OF_STUDY = ("patient", "was")


class Summaries:
    """Updates the levels above the instances."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str], clock: Clock, table: AttributeTable) -> None:
        self._table = table
        self._client = client
        self._names = names
        self._clock = clock

    async def renew(self, partition: str, series: Iterable[tuple[str, str]]) -> None:
        """Bring these series (study, series), their studies and the patients of those up to date, and make it seen."""
        by_study: dict[str, set[str]] = {}
        for study, uid in series:
            by_study.setdefault(study, set()).add(uid)
        patients: set[str] = set()
        studies = sorted(by_study)
        for start in range(0, len(studies), _STUDIES):
            some = {study: by_study[study] for study in studies[start : start + _STUDIES]}
            patients |= await self._renew_studies(partition, some)
        # From below: who finds a study finds its series, and all that it says of them.
        await self._client.refresh(self._names["series"])
        await self._client.refresh(self._names["studies"])
        await Patients(self._client, self._names, self._clock, self._table).renew(partition, patients)

    async def _renew_studies(self, partition: str, left: dict[str, set[str]]) -> set[str]:
        """Update these studies. Returns the patients whose studies have changed."""
        patients: set[str] = set()
        async for _ in rounds(self._clock):
            left, touched = await self._round(partition, left)
            patients |= touched
            if not left:
                break
        return patients

    async def _round(self, partition: str, left: dict[str, set[str]]) -> tuple[dict[str, set[str]], set[str]]:
        studies = await self._client.get(self._names["studies"], [study_id(partition, s) for s in left], _OF_STUDY)
        ids = [series_id(partition, study, uid) for study, uids in left.items() for uid in uids]
        series = await self._client.get(self._names["series"], ids, ("uid",))
        below: dict[str, list[SeriesSummary]] = {}
        async for summary in self._summaries(partition, list(left)):
            below.setdefault(summary.study, []).append(summary)
        operations: list[tuple[str, BulkOperation]] = []
        patients: set[str] = set()
        for study, touched in left.items():
            key, known = study_id(partition, study), {summary.uid: summary for summary in below.get(study, ())}
            found = studies.get(key, ABSENT)
            source = _study(partition, study, below.get(study, ()), found, self._table)
            patients |= _patients(source) | _patients(found.source)
            written = [(self._names["studies"], key, source, found)]
            for uid in touched:
                key = series_id(partition, study, uid)
                found = series.get(key, ABSENT)
                source = _series(partition, study, uid, known.get(uid), self._table)
                written.append((self._names["series"], key, source, found))
            operations += [(study, BulkOperation("index", i, k, body, f)) for i, k, body, f in written]
        results = await self._client.bulk(operation for _, operation in operations)
        overtaken = {study for (study, _), result in zip(operations, results, strict=True) if _is_overtaken(result)}
        return {study: left[study] for study in overtaken}, patients

    async def _summaries(self, partition: str, studies: Sequence[str]) -> AsyncIterator[SeriesSummary]:
        """All series of these studies, as their instances tell."""
        below: dict[str, Any] = {
            "first": {"top_hits": {"size": 1, "sort": ["first", "uid"], "_source": ["above", "first"]}},
            "classes": {"terms": {"field": "sop_class", "size": _CLASSES}},
        }
        names: dict[str, Any] = {
            "size": _BUCKETS,
            "sources": [{"study": {"terms": {"field": "study"}}}, {"series": {"terms": {"field": "series"}}}],
        }
        which = [{"term": {"partition": partition}}, {"term": {"live": True}}, {"terms": {"study": list(studies)}}]
        while True:
            body = {
                "size": 0,
                "query": {"bool": {"filter": which}},
                "aggs": {"series": {"composite": names, "aggs": below}},
            }
            answer = await self._client.search(self._names["instances"], body)
            found = answer["aggregations"]["series"]
            for bucket in found["buckets"]:
                yield _summary(bucket)
            if len(found["buckets"]) < _BUCKETS:
                return
            names["after"] = found["after_key"]


def _study(
    partition: str, uid: str, below: Sequence[SeriesSummary], found: SearchResult, table: AttributeTable
) -> Source:
    """What is to be written. Also of a study that nothing is in and never was: somebody who saw more before it was
    deleted may be about to write it."""
    patients = _patients(found.source)
    if below:
        return study_source(partition, uid, below, table, patients)
    return {"partition": partition, "uid": uid, "live": False, "was": sorted(patients)}


def _patients(source: Source | None) -> set[str]:
    """The patient of a study, and those that it left."""
    if source is None:
        return set()
    return {*source.get("was", ()), *([source["patient"]] if source.get("patient") else [])}


def _series(partition: str, study: str, uid: str, summary: SeriesSummary | None, table: AttributeTable) -> Source:
    if summary is not None:
        return series_source(partition, summary, table)
    return {"partition": partition, "uid": uid, "study": study, "live": False}


def _summary(bucket: Mapping[str, Any]) -> SeriesSummary:
    (first,) = bucket["first"]["hits"]["hits"]
    return SeriesSummary(
        study=bucket["key"]["study"],
        uid=bucket["key"]["series"],
        first=first["_source"]["first"],
        instances=bucket["doc_count"],
        sop_classes=[found["key"] for found in bucket["classes"]["buckets"]],
        above=unpack(first["_source"]["above"]),
    )


def _is_overtaken(result: BulkResult) -> bool:
    if result.refusal:
        # Made of values that instances were taken with: it cannot be one entry's fault.
        raise DependencyUnavailable(DEPENDENCY, f"it refuses a summary: {result.refusal}")
    return result.conflict
