"""Series, studies and patients, recomputed from the levels below.

A writer reads the target document (`_seq_no`), then the level below, then writes if the target is unchanged. Empty
results are written, too. Every writer refreshes the level below first. So the later of two writers has seen what both
knew, and a writer that was overtaken starts again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gantry.common.adapters.opensearch.client import (
    ABSENT,
    DEPENDENCY,
    BulkOperation,
    OpenSearchClient,
    OperationResult,
    SearchResult,
    rounds,
)
from gantry.common.adapters.opensearch.corrections import CorrectionDocuments, KnownCorrections
from gantry.common.adapters.opensearch.documents import (
    SeriesSummary,
    Source,
    series_id,
    series_source,
    study_id,
    study_source,
    unpack,
)
from gantry.common.adapters.opensearch.patients import PatientUpdates
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.errors import DependencyUnavailable
from gantry.common.lifecycle import CorrectionEffect, corrected

_STUDIES = 1000
_BUCKETS = 1000
_CLASSES = 1000
_OF_STUDY = ("patient", "was", "applied")


class Summaries:
    """Updates the levels above the instances."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str], clock: Clock, table: AttributeTable) -> None:
        self._table = table
        self._client = client
        self._names = names
        self._clock = clock
        self._corrections = CorrectionDocuments(client, names)

    async def renew(self, partition: str, series: Iterable[tuple[str, str]]) -> None:
        """Update these series (study, series), their studies and the patients of those, and make the result visible."""
        by_study: dict[str, set[str]] = {}
        for study, uid in series:
            by_study.setdefault(study, set()).add(uid)
        await self._renew(partition, by_study)

    async def renew_studies(self, partition: str, studies: Iterable[str]) -> None:
        """The same for whole studies whose corrections may have changed."""
        if by_study := {study: set[str]() for study in studies}:
            await self._renew(partition, by_study)

    async def _renew(self, partition: str, by_study: dict[str, set[str]]) -> None:
        patients: set[str] = set()
        studies = sorted(by_study)
        for start in range(0, len(studies), _STUDIES):
            batch = {study: by_study[study] for study in studies[start : start + _STUDIES]}
            patients |= await self._renew_studies(partition, batch)
        # From below: if a study is found, so are its series, and everything that it says about them.
        await self._client.refresh(self._names["series"])
        await self._client.refresh(self._names["studies"])
        await PatientUpdates(self._client, self._names, self._clock, self._table).renew(partition, patients)

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
        used = KnownCorrections()
        effects = await self._corrections.effects(
            partition, {s: own_of(summaries) for s, summaries in below.items()}, used
        )
        # All series of a study that is or was corrected are recomputed: first their documents are read, too.
        more = {
            study: touched | {summary.uid for summary in below.get(study, ())}
            for study, touched in left.items()
            if _is_corrected(effects.get(study), studies.get(study_id(partition, study), ABSENT))
        }
        again = {study: every for study, every in more.items() if every != left[study]}
        operations: list[tuple[str, BulkOperation]] = []
        patients: set[str] = set()
        for study, touched in left.items():
            if study in again:
                continue
            effect = effects.get(study, _UNCORRECTED)
            shown = [
                replace(series, above=corrected(series.above, effect.applied, series.uid))
                for series in below.get(study, ())
            ]
            key, known = study_id(partition, study), {summary.uid: summary for summary in shown}
            document = studies.get(key, ABSENT)
            source = _study(partition, study, shown, effect, document, self._table)
            patients |= _patients(source) | _patients(document.source)
            written = [(self._names["studies"], key, source, document)]
            for uid in touched:
                key = series_id(partition, study, uid)
                document = series.get(key, ABSENT)
                source = _series(partition, study, uid, known.get(uid), self._table)
                written.append((self._names["series"], key, source, document))
            operations += [(study, BulkOperation("index", i, k, body, f)) for i, k, body, f in written]
        results = await self._client.bulk(operation for _, operation in operations)
        overtaken = {study for (study, _), result in zip(operations, results, strict=True) if _is_overtaken(result)}
        # A patient may have been merged before this study could be found as one of that patient's (`corrections`).
        if changed := await self._corrections.changed(partition, used):
            overtaken |= {study for study, effect in effects.items() if changed & {*effect.walk}}
        return {study: left[study] for study in overtaken} | again, patients

    async def own(self, partition: str, study: str) -> Mapping[int, Any] | None:
        """The own values of a study, before corrections; None if it does not exist."""
        below = [summary async for summary in self._summaries(partition, [study])]
        return own_of(below) if below else None

    async def _summaries(self, partition: str, studies: Sequence[str]) -> AsyncIterator[SeriesSummary]:
        """Summaries of all series of these studies, from their instances."""
        below: dict[str, Any] = {
            "first": {"top_hits": {"size": 1, "sort": ["first", "uid"], "_source": ["above", "first"]}},
            "classes": {"terms": {"field": "sop_class", "size": _CLASSES}},
        }
        names: dict[str, Any] = {
            "size": _BUCKETS,
            "sources": [{"study": {"terms": {"field": "study"}}}, {"series": {"terms": {"field": "series"}}}],
        }
        filters = [{"term": {"partition": partition}}, {"term": {"live": True}}, {"terms": {"study": list(studies)}}]
        while True:
            body = {
                "size": 0,
                "query": {"bool": {"filter": filters}},
                "aggs": {"series": {"composite": names, "aggs": below}},
            }
            answer = await self._client.search(self._names["instances"], body)
            aggregation = answer["aggregations"]["series"]
            for bucket in aggregation["buckets"]:
                yield _summary(bucket)
            if len(aggregation["buckets"]) < _BUCKETS:
                return
            names["after"] = aggregation["after_key"]


def own_of(below: Sequence[SeriesSummary]) -> Mapping[int, Any]:
    """The own values of a study: those of its earliest instance."""
    return min(below, key=lambda series: (series.first, series.uid)).above


_UNCORRECTED = CorrectionEffect((), ())


def _is_corrected(effect: CorrectionEffect | None, result: SearchResult) -> bool:
    """Whether corrections apply to a study now, or did when it was written."""
    return bool((effect and effect.applied) or (result.source or {}).get("applied"))


def _study(
    partition: str,
    uid: str,
    below: Sequence[SeriesSummary],
    effect: CorrectionEffect,
    result: SearchResult,
    table: AttributeTable,
) -> Source:
    """The document to write. Also for a study that is and was always empty: a process that saw more before it was
    deleted may be about to write it."""
    patients = _patients(result.source)
    if below:
        return study_source(partition, uid, below, effect, table, patients)
    return {"partition": partition, "uid": uid, "live": False, "was": sorted(patients)}


def _patients(source: Source | None) -> set[str]:
    """The patient of a study, and its former patients."""
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
        sop_classes=[sop_class["key"] for sop_class in bucket["classes"]["buckets"]],
        above=unpack(first["_source"]["above"]),
    )


def _is_overtaken(result: OperationResult) -> bool:
    if result.refusal:
        # Made of values with which instances were accepted: it cannot be the fault of one entry.
        raise DependencyUnavailable(DEPENDENCY, f"it refuses a summary: {result.refusal}")
    return result.conflict
