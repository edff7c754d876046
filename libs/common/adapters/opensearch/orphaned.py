"""Corrections of studies and patients of which nothing is left."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from typing import Any

from gantry.common.adapters.opensearch.client import OpenSearchClient
from gantry.common.adapters.opensearch.corrections import CorrectionDocuments, KnownCorrections
from gantry.common.adapters.opensearch.summaries import Summaries
from gantry.common.adapters.past_receipts import unpack_entry
from gantry.common.lifecycle import NOTHING, CorrectionEffect, Corrections, effect_of
from gantry.common.ports.index import OrphanedCorrections

_PAGE = 500


class OrphanFinder:
    """Finds them in the indices called `names`, by kind."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str], summaries: Summaries) -> None:
        """`summaries` reads the studies' own values."""
        self._client = client
        self._names = names
        self._summaries = summaries
        self._documents = CorrectionDocuments(client, names)

    async def pages(self, partition: str) -> AsyncIterator[list[OrphanedCorrections]]:
        """See `SearchIndex.orphaned_corrections`."""
        await self._client.refresh(self._names["studies"], self._names["fates"])
        other: set[str] | None = None
        async for page in self._documents.pages(partition):
            orphaned = []
            for study, patient, corrections in page:
                if not corrections.erasable:
                    continue
                if study:
                    gone = await self._is_collected(partition, study)
                else:
                    keys = _keys(patient, corrections)
                    gone = not await self._has_documents("studies", partition, {"terms": {"walk": sorted(keys)}})
                    if gone:
                        other = await self._other_walks(partition) if other is None else other
                        gone = not other & keys
                if gone:
                    orphaned.append(OrphanedCorrections(study, patient, tuple(corrections.erasable)))
            if orphaned:
                yield orphaned

    async def _is_collected(self, partition: str, study: str) -> bool:
        """Whether there were receipts of a study, and all of them are collected."""
        if await self._has_documents("studies", partition, {"term": {"uid": study}}, {"term": {"live": True}}):
            return False
        clause = {"term": {"study": study}}
        decided = await self._has_documents("fates", partition, clause, {"term": {"decided": True}})
        return decided and not await self._has_documents("fates", partition, clause, {"term": {"kept": True}})

    async def _has_documents(self, kind: str, partition: str, *clauses: dict[str, Any]) -> bool:
        filters = [{"term": {"partition": partition}}, *clauses]
        body = {"size": 0, "terminate_after": 1, "query": {"bool": {"filter": filters}}}
        answer = await self._client.search(self._names[kind], body)
        return bool(answer["hits"]["total"]["value"])

    async def _other_walks(self, partition: str) -> set[str]:
        """The patients on the walks of receipts that may be restored, and on those that studies would have if
        corrections of their identity were withdrawn."""
        walks: set[str] = set()
        async for page in self._documents.pages(partition):
            for study in [study for study, _, corrections in page if study and corrections.touch_identity]:
                own = await self._summaries.own(partition, study)
                if own is not None:
                    walks |= await self._walks(partition, study, own)
        body: dict[str, Any] = {
            "size": _PAGE,
            "query": {"bool": {"filter": [{"term": {"partition": partition}}, {"term": {"kept": True}}]}},
            "sort": ["study", "receipt"],
            "_source": ["entry"],
            "track_total_hits": False,
        }
        while hits := (await self._client.search(self._names["fates"], body))["hits"]["hits"]:
            entries = [unpack_entry(b64decode(hit["_source"]["entry"])) for hit in hits]
            # The instances of one study may name several patients.
            for entry in entries:
                walks |= await self._walks(partition, entry.study_instance_uid, entry.attributes)
            body["search_after"] = hits[-1]["sort"]
        return walks

    async def _walks(self, partition: str, study: str, own: Mapping[int, Any]) -> set[str]:
        """The patients on the walk of a study with the own values `own`, with its corrections and without them."""
        used = KnownCorrections()
        walk = (await self._documents.effects(partition, {study: own}, used))[study].walk
        while not isinstance(effect := effect_of(own, study, NOTHING, used.patients), CorrectionEffect):
            used.patients |= await self._documents.of_patients(partition, [effect.patient])
        return {*walk, *effect.walk}


def _keys(patient: str, corrections: Corrections) -> set[str]:
    """The patient, and those that its merges lead to."""
    return {patient, *(correction.into for correction in corrections.made.values() if correction.into)}
