"""Corrections of studies and patients of which nothing is left."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from typing import Any

from gantry.common.adapters.graves import unpack_entry
from gantry.common.adapters.opensearch.client import OpenSearchClient
from gantry.common.adapters.opensearch.corrections import CorrectionDocuments, Known
from gantry.common.lifecycle import Corrections
from gantry.common.ports.index import Forsaken

_PAGE = 500


class ForsakenCorrections:
    """Looks for them in the indices called `names`, by kind."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str]) -> None:
        self._client = client
        self._names = names
        self._documents = CorrectionDocuments(client, names)

    async def pages(self, partition: str) -> AsyncIterator[list[Forsaken]]:
        """See `SearchIndex.forsaken`."""
        await self._client.refresh(self._names["studies"], self._names["fates"])
        hidden: set[str] | None = None
        async for page in self._documents.pages(partition):
            found = []
            for study, patient, corrections in page:
                if not corrections.erasable:
                    continue
                if study:
                    gone = await self._is_collected(partition, study)
                else:
                    keys = _keys(patient, corrections)
                    gone = not await self._any("studies", partition, {"terms": {"walk": sorted(keys)}})
                    if gone:
                        hidden = await self._hidden_walks(partition) if hidden is None else hidden
                        gone = not hidden & keys
                if gone:
                    found.append(Forsaken(study, patient, tuple(corrections.erasable)))
            if found:
                yield found

    async def _is_collected(self, partition: str, study: str) -> bool:
        """Whether there were receipts of a study, and all of them are collected."""
        if await self._any("studies", partition, {"term": {"uid": study}}, {"term": {"live": True}}):
            return False
        of = {"term": {"study": study}}
        decided = await self._any("fates", partition, of, {"term": {"decided": True}})
        return decided and not await self._any("fates", partition, of, {"term": {"kept": True}})

    async def _any(self, kind: str, partition: str, *clauses: dict[str, Any]) -> bool:
        which = [{"term": {"partition": partition}}, *clauses]
        body = {"size": 0, "terminate_after": 1, "query": {"bool": {"filter": which}}}
        answer = await self._client.search(self._names[kind], body)
        return bool(answer["hits"]["total"]["value"])

    async def _hidden_walks(self, partition: str) -> set[str]:
        """The patients on the walks of what may come back."""
        walks: set[str] = set()
        body: dict[str, Any] = {
            "size": _PAGE,
            "query": {"bool": {"filter": [{"term": {"partition": partition}}, {"term": {"kept": True}}]}},
            "sort": ["study", "receipt"],
            "_source": ["entry"],
            "track_total_hits": False,
        }
        while hits := (await self._client.search(self._names["fates"], body))["hits"]["hits"]:
            entries = [unpack_entry(b64decode(hit["_source"]["entry"])) for hit in hits]
            # One study may be said to be of several patients by its instances.
            for entry in entries:
                own = {entry.study_instance_uid: entry.attributes}
                effects = await self._documents.effects(partition, own, Known())
                walks.update(effects[entry.study_instance_uid].walk)
            body["search_after"] = hits[-1]["sort"]
        return walks


def _keys(patient: str, corrections: Corrections) -> set[str]:
    """The patient, and those that its merges lead to."""
    return {patient, *(one.into for one in corrections.made.values() if one.into)}
