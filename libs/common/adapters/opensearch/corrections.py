"""Corrections of studies and patients: a document for each that was ever corrected, which only grows.

The correcting process writes this document, then recomputes the studies (`summaries`). The process that computes a
study reads its document, then the corrections, then writes the study if it is unchanged: so the later of the two has
seen what the other wrote, or has to start again. The studies of a patient are found by a search, which does not see one
that is being written for the first time: so a process that writes a study reads the corrections of its patients once
more, and starts again if they have changed.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gantry.common.adapters.opensearch.client import (
    ABSENT,
    DEPENDENCY,
    BulkOperation,
    OpenSearchClient,
    SearchResult,
    rounds,
)
from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.lifecycle import NOTHING, CorrectionEffect, Corrections, effect_of
from gantry.common.ports.index import CorrectionChange

_STATE = ("state",)
_STUDIES = 1000


def _id(partition: str, study: str = "", patient: str = "") -> str:
    return f"{partition}:s:{study}" if study else f"{partition}:p:{patient}"


@dataclass(slots=True)
class KnownCorrections:
    """The corrections of some studies, and of all patients on their walks, as they were read."""

    studies: Mapping[str, Corrections] = field(default_factory=dict)
    patients: dict[str, Corrections] = field(default_factory=dict)


class CorrectionDocuments:
    """The corrections of one generation. They are read in real time, so that nothing has to be refreshed."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str]) -> None:
        self._client = client
        self._names = names
        self._index = names["corrections"]

    async def of_studies(self, partition: str, studies: Iterable[str]) -> dict[str, Corrections]:
        """The corrections of studies."""
        return await self._read({_id(partition, study=study): study for study in studies})

    async def of_patients(self, partition: str, patients: Iterable[str]) -> dict[str, Corrections]:
        """The corrections of patients, by key."""
        return await self._read({_id(partition, patient=patient): patient for patient in patients})

    async def effects(
        self, partition: str, studies: Mapping[str, Mapping[int, Any]], known: KnownCorrections
    ) -> dict[str, CorrectionEffect]:
        """The effects of corrections on studies, given their own values; documents that are read for it are added to
        `known`."""
        known.studies = await self.of_studies(partition, studies)
        by_study: dict[str, CorrectionEffect] = {}
        left = list(studies)
        while left:
            by_patient: dict[str, list[str]] = {}
            for study in left:
                effect = effect_of(studies[study], study, known.studies[study], known.patients)
                if isinstance(effect, CorrectionEffect):
                    by_study[study] = effect
                else:
                    by_patient.setdefault(effect.patient, []).append(study)
            known.patients |= await self.of_patients(partition, by_patient)
            left = [study for group in by_patient.values() for study in group]
        return by_study

    async def changed(self, partition: str, known: KnownCorrections) -> set[str]:
        """The patients whose corrections have changed since they were read."""
        now = await self.of_patients(partition, known.patients)
        return {patient for patient, corrections in now.items() if corrections != known.patients[patient]}

    async def join(self, changes: Sequence[CorrectionChange], clock: Clock) -> None:
        """Add corrections to the documents."""
        left: dict[str, list[CorrectionChange]] = {}
        for change in changes:
            id_ = _id(change.partition, change.study_instance_uid, change.patient)
            left.setdefault(id_, []).append(change)
        async for _ in rounds(clock):
            left = await self._round(left)
            if not left:
                return

    async def pages(self, partition: str) -> AsyncIterator[list[tuple[str, str, Corrections]]]:
        """All corrections, as a search sees them after a refresh: study, patient (one of them is "") and
        corrections."""
        await self._client.refresh(self._index)
        body: dict[str, Any] = {
            "size": _STUDIES,
            "query": {"bool": {"filter": [{"term": {"partition": partition}}]}},
            "sort": ["study", "patient"],
            "track_total_hits": False,
        }
        while hits := (await self._client.search(self._index, body))["hits"]["hits"]:
            sources = [hit["_source"] for hit in hits]
            yield [(s["study"], s["patient"], Corrections.unpack(b64decode(s["state"]))) for s in sources]
            body["search_after"] = hits[-1]["sort"]

    async def studies_of(self, partition: str, patients: Sequence[str]) -> AsyncIterator[list[str]]:
        """The studies whose walk includes one of these patients, in pages, as a search sees them after a refresh."""
        await self._client.refresh(self._names["studies"])
        filters = [{"term": {"partition": partition}}, {"terms": {"walk": list(patients)}}]
        body: dict[str, Any] = {
            "size": _STUDIES,
            "query": {"bool": {"filter": filters}},
            "sort": ["uid"],
            "_source": ["uid"],
            "track_total_hits": False,
        }
        while True:
            hits = (await self._client.search(self._names["studies"], body))["hits"]["hits"]
            if hits:
                yield [hit["_source"]["uid"] for hit in hits]
            if len(hits) < _STUDIES:
                return
            body["search_after"] = hits[-1]["sort"]

    async def _read(self, ids: Mapping[str, str]) -> dict[str, Corrections]:
        results = await self._client.get(self._index, list(ids), _STATE) if ids else {}
        return {name: _corrections(results.get(id_, ABSENT)) for id_, name in ids.items()}

    async def _round(self, left: dict[str, list[CorrectionChange]]) -> dict[str, list[CorrectionChange]]:
        """Add what is left; writes that lose a race are left again."""
        documents = await self._client.get(self._index, list(left), _STATE)
        operations = []
        for id_, changes in left.items():
            before = joined = _corrections(documents.get(id_, ABSENT))
            for change in changes:
                joined |= change.corrections
            if joined != before:
                operations.append(
                    BulkOperation("index", self._index, id_, _source(changes[0], joined), documents.get(id_))
                )
        results = await self._client.bulk(operations)
        for result in results:
            if result.refusal:
                raise DependencyUnavailable(DEPENDENCY, f"it refuses a correction: {result.refusal}")
        return {o.id: left[o.id] for o, result in zip(operations, results, strict=True) if result.conflict}


def _corrections(result: SearchResult) -> Corrections:
    return NOTHING if result.source is None else Corrections.unpack(b64decode(result.source["state"]))


def _source(change: CorrectionChange, state: Corrections) -> dict[str, str]:
    return {
        "partition": change.partition,
        "study": change.study_instance_uid,
        "patient": change.patient,
        "state": b64encode(state.pack()).decode("ascii"),
    }
