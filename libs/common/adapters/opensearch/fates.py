"""Decisions about receipts, each in a document of its own; and the entries of those that are not current now.

A document is written only if it is unchanged since it was read, and decisions are only ever added to it: so nothing is
lost between two writers. An entry is written if its receipt is hidden, or if other bytes than its own are current; it
stays until the receipt is collected, and is never written after that: no writer, however late, restores a header that
was dropped.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gantry.common.adapters.graves import PastReceipt, pack_entry, pack_fate, unpack_entry, unpack_fate
from gantry.common.adapters.opensearch.client import ABSENT, BulkOperation, OpenSearchClient, SearchResult
from gantry.common.adapters.opensearch.documents import Source
from gantry.common.lifecycle import ALIVE, Fate
from gantry.common.ports.index import FatedReceipt, InstanceEntry, InstanceKey

_PAGE = 1000
_HEAD = ("fate", "decided", "kept", "lost")
_WHOLE = (*_HEAD, "entry")
_FATED = ("study", "series", "uid", "receipt", "fate", "object_key", "digest", "entry")
_FORGOTTEN: Source = {"kept": False, "entry": "", "object_key": "", "digest": ""}


@dataclass(frozen=True, slots=True)
class Grave:
    """A receipt's document as it was read. `kept`: its entry is in it; `entry` is also None if it was not requested."""

    found: SearchResult = ABSENT
    fate: Fate = ALIVE
    decided: bool = False
    kept: bool = False
    lost: bool = False
    entry: InstanceEntry | None = None


NOTHING = Grave()


def fate_id(partition: str, receipt: str) -> str:
    """The id of a receipt's document."""
    return f"{partition}:{receipt}"


class Fates:
    """The documents of one generation."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str]) -> None:
        self._client = client
        self._index = names["fates"]

    async def get(self, ids: Iterable[str], *, entries: bool = False) -> dict[str, Grave]:
        """Documents by id, in real time, with their `entries` if requested."""
        wanted = list(dict.fromkeys(ids))
        results = await self._client.get(self._index, wanted, _WHOLE if entries else _HEAD) if wanted else {}
        return {id_: _grave(result) for id_, result in results.items()}

    async def hidden(self, partition: str, receipts: Collection[str]) -> set[str]:
        """The hidden ones of the receipts."""
        graves = await self.get(fate_id(partition, receipt) for receipt in receipts)
        return {r for r in receipts if graves.get(fate_id(partition, r), NOTHING).fate.hidden}

    async def fated_receipts(self, partition: str, receipts: Collection[str]) -> dict[str, FatedReceipt]:
        """The decisions about receipts, and their instances, in real time."""
        ids = [fate_id(partition, receipt) for receipt in receipts]
        results = await self._client.get(self._index, ids, (*_FATED, "decided")) if ids else {}
        sources = [
            result.source for result in results.values() if result.source is not None and result.source["decided"]
        ]
        return {source["receipt"]: _fated(source) for source in sources}

    async def fated(
        self, partition: str, study: str, instances: Collection[str] = ()
    ) -> AsyncIterator[list[FatedReceipt]]:
        """Receipts with decisions, in pages; of one study if it is named, and within it of some SOP Instance UIDs."""
        filters: list[dict[str, Any]] = [{"term": {"partition": partition}}, {"term": {"decided": True}}]
        if study:
            filters.append({"term": {"study": study}})
        if instances:
            filters.append({"terms": {"uid": sorted(instances)}})
        body = {"size": _PAGE, "query": {"bool": {"filter": filters}}, "sort": ["study", "receipt"]}
        body |= {"_source": list(_FATED), "track_total_hits": False}
        while hits := (await self._client.search(self._index, body))["hits"]["hits"]:
            yield [_fated(hit["_source"]) for hit in hits]
            body["search_after"] = hits[-1]["sort"]

    async def rejected(self, partition: str, studies: Collection[str]) -> frozenset[str]:
        """The studies, of those given, with rejected instances."""
        filters = [
            {"term": {"partition": partition}},
            {"term": {"decided": True}},
            {"terms": {"study": sorted(studies)}},
        ]
        body: dict[str, Any] = {"size": _PAGE, "query": {"bool": {"filter": filters}}, "sort": ["study", "receipt"]}
        body |= {"_source": ["study", "fate"], "track_total_hits": False}
        matches: set[str] = set()
        while studies and (hits := (await self._client.search(self._index, body))["hits"]["hits"]):
            for source in (hit["_source"] for hit in hits):
                if any(decision.rejects for decision in unpack_fate(b64decode(source["fate"])).standing):
                    matches.add(source["study"])
            body["search_after"] = hits[-1]["sort"]
        return frozenset(matches)

    def joined(self, partition: str, instance: InstanceKey, receipt: str, fate: Fate, grave: Grave) -> BulkOperation:
        """Add to the fate of a receipt whose document is `grave`."""
        known = {"decided": True, "fate": b64encode(pack_fate(grave.fate | fate)).decode("ascii")}
        return self._changed(partition, instance, receipt, known, grave)

    def keeping(self, known: PastReceipt, grave: Grave) -> BulkOperation:
        """Store the entry of a receipt, which must not be collected, in its document."""
        entry = known.entry
        fields = {
            "kept": True,
            "entry": b64encode(pack_entry(entry)).decode("ascii"),
            "object_key": entry.object_key,
            "digest": entry.digest,
            "lost": known.lost or grave.lost,
        }
        key = InstanceKey(entry.study_instance_uid, entry.series_instance_uid, entry.sop_instance_uid)
        return self._changed(entry.partition, key, entry.receipt, fields, grave)

    def losing(self, id_: str, grave: Grave) -> BulkOperation:
        """Mark the object of a receipt as lost, in its existing document."""
        return BulkOperation("update", self._index, id_, {"doc": {"lost": True}}, grave.found)

    def forgetting(self, id_: str, grave: Grave) -> BulkOperation:
        """Drop the entry of a receipt."""
        return BulkOperation("update", self._index, id_, {"doc": _FORGOTTEN}, grave.found)

    async def refresh(self) -> None:
        """Make earlier writes visible to `fated`."""
        await self._client.refresh(self._index)

    def _changed(
        self, partition: str, instance: InstanceKey, receipt: str, change: Source, grave: Grave
    ) -> BulkOperation:
        id_ = fate_id(partition, receipt)
        if grave.found.source is not None:
            return BulkOperation("update", self._index, id_, {"doc": change}, grave.found)
        new = {
            "partition": partition,
            "study": instance.study_instance_uid,
            "series": instance.series_instance_uid,
            "uid": instance.sop_instance_uid,
            "receipt": receipt,
            "decided": False,
            "fate": b64encode(pack_fate(ALIVE)).decode("ascii"),
            "lost": False,
            **_FORGOTTEN,
        }
        return BulkOperation("index", self._index, id_, new | change, grave.found)


def _grave(result: SearchResult) -> Grave:
    source = result.source or {}
    entry = source.get("entry", "")
    return Grave(
        result,
        unpack_fate(b64decode(source["fate"])),
        source["decided"],
        source["kept"],
        source["lost"],
        unpack_entry(b64decode(entry)) if entry else None,
    )


def _fated(source: Source) -> FatedReceipt:
    fate = unpack_fate(b64decode(source["fate"]))
    key = InstanceKey(source["study"], source["series"], source["uid"])
    if not fate.hidden:
        return FatedReceipt(key, source["receipt"], fate)
    entry = unpack_entry(b64decode(source["entry"])) if source.get("entry") else None
    return FatedReceipt(key, source["receipt"], fate, source["object_key"], source["digest"], entry)
