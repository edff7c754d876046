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

from gantry.common.adapters.opensearch.client import ABSENT, BulkOperation, OpenSearchClient, SearchResult
from gantry.common.adapters.opensearch.documents import Source
from gantry.common.adapters.past_receipts import (
    PastReceipt,
    pack_deletion_state,
    pack_entry,
    unpack_deletion_state,
    unpack_entry,
)
from gantry.common.lifecycle import ALIVE, DeletionState
from gantry.common.ports.index import DecidedReceipt, InstanceEntry, InstanceKey

_PAGE = 1000
_HEAD = ("fate", "decided", "kept", "lost")
_WHOLE = (*_HEAD, "entry")
_DECIDED = ("study", "series", "uid", "receipt", "fate", "object_key", "digest", "entry")
_FORGOTTEN: Source = {"kept": False, "entry": "", "object_key": "", "digest": ""}


@dataclass(frozen=True, slots=True)
class DecisionDocument:
    """A receipt's document as it was read. `kept`: its entry is in it; `entry` is also None if it was not requested."""

    found: SearchResult = ABSENT
    deletion_state: DeletionState = ALIVE
    decided: bool = False
    kept: bool = False
    lost: bool = False
    entry: InstanceEntry | None = None


NOTHING = DecisionDocument()


def decision_id(partition: str, receipt: str) -> str:
    """The id of a receipt's document."""
    return f"{partition}:{receipt}"


class DecisionDocuments:
    """The documents of one generation."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str]) -> None:
        self._client = client
        self._index = names["fates"]

    async def get(self, ids: Iterable[str], *, entries: bool = False) -> dict[str, DecisionDocument]:
        """Documents by id, in real time, with their `entries` if requested."""
        wanted = list(dict.fromkeys(ids))
        results = await self._client.get(self._index, wanted, _WHOLE if entries else _HEAD) if wanted else {}
        return {id_: _document_of(result) for id_, result in results.items()}

    async def hidden(self, partition: str, receipts: Collection[str]) -> set[str]:
        """The hidden ones of the receipts."""
        decision_documents = await self.get(decision_id(partition, receipt) for receipt in receipts)
        return {r for r in receipts if decision_documents.get(decision_id(partition, r), NOTHING).deletion_state.hidden}

    async def decided_receipts(self, partition: str, receipts: Collection[str]) -> dict[str, DecidedReceipt]:
        """The decisions about receipts, and their instances, in real time."""
        ids = [decision_id(partition, receipt) for receipt in receipts]
        results = await self._client.get(self._index, ids, (*_DECIDED, "decided")) if ids else {}
        sources = [
            result.source for result in results.values() if result.source is not None and result.source["decided"]
        ]
        return {source["receipt"]: _decided_receipt(source) for source in sources}

    async def find_decided(
        self, partition: str, study: str, instances: Collection[str] = ()
    ) -> AsyncIterator[list[DecidedReceipt]]:
        """Receipts with decisions, in pages; of one study if it is named, and within it of some SOP Instance UIDs."""
        filters: list[dict[str, Any]] = [{"term": {"partition": partition}}, {"term": {"decided": True}}]
        if study:
            filters.append({"term": {"study": study}})
        if instances:
            filters.append({"terms": {"uid": sorted(instances)}})
        body = {"size": _PAGE, "query": {"bool": {"filter": filters}}, "sort": ["study", "receipt"]}
        body |= {"_source": list(_DECIDED), "track_total_hits": False}
        while hits := (await self._client.search(self._index, body))["hits"]["hits"]:
            yield [_decided_receipt(hit["_source"]) for hit in hits]
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
                if any(decision.rejects for decision in unpack_deletion_state(b64decode(source["fate"])).standing):
                    matches.add(source["study"])
            body["search_after"] = hits[-1]["sort"]
        return frozenset(matches)

    def joined(
        self,
        partition: str,
        instance: InstanceKey,
        receipt: str,
        deletion_state: DeletionState,
        decision_document: DecisionDocument,
    ) -> BulkOperation:
        """Add to the deletion state of a receipt whose document is `decision_document`."""
        known = {
            "decided": True,
            "fate": b64encode(pack_deletion_state(decision_document.deletion_state | deletion_state)).decode("ascii"),
        }
        return self._changed(partition, instance, receipt, known, decision_document)

    def keeping(self, known: PastReceipt, decision_document: DecisionDocument) -> BulkOperation:
        """Store the entry of a receipt, which must not be collected, in its document."""
        entry = known.entry
        fields = {
            "kept": True,
            "entry": b64encode(pack_entry(entry)).decode("ascii"),
            "object_key": entry.object_key,
            "digest": entry.digest,
            "lost": known.lost or decision_document.lost,
        }
        key = InstanceKey(entry.study_instance_uid, entry.series_instance_uid, entry.sop_instance_uid)
        return self._changed(entry.partition, key, entry.receipt, fields, decision_document)

    def losing(self, id_: str, decision_document: DecisionDocument) -> BulkOperation:
        """Mark the object of a receipt as lost, in its existing document."""
        return BulkOperation("update", self._index, id_, {"doc": {"lost": True}}, decision_document.found)

    def forgetting(self, id_: str, decision_document: DecisionDocument) -> BulkOperation:
        """Drop the entry of a receipt."""
        return BulkOperation("update", self._index, id_, {"doc": _FORGOTTEN}, decision_document.found)

    async def refresh(self) -> None:
        """Make earlier writes visible to `find_decided`."""
        await self._client.refresh(self._index)

    def _changed(
        self, partition: str, instance: InstanceKey, receipt: str, change: Source, decision_document: DecisionDocument
    ) -> BulkOperation:
        id_ = decision_id(partition, receipt)
        if decision_document.found.source is not None:
            return BulkOperation("update", self._index, id_, {"doc": change}, decision_document.found)
        new = {
            "partition": partition,
            "study": instance.study_instance_uid,
            "series": instance.series_instance_uid,
            "uid": instance.sop_instance_uid,
            "receipt": receipt,
            "decided": False,
            "fate": b64encode(pack_deletion_state(ALIVE)).decode("ascii"),
            "lost": False,
            **_FORGOTTEN,
        }
        return BulkOperation("index", self._index, id_, new | change, decision_document.found)


def _document_of(result: SearchResult) -> DecisionDocument:
    source = result.source or {}
    entry = source.get("entry", "")
    return DecisionDocument(
        result,
        unpack_deletion_state(b64decode(source["fate"])),
        source["decided"],
        source["kept"],
        source["lost"],
        unpack_entry(b64decode(entry)) if entry else None,
    )


def _decided_receipt(source: Source) -> DecidedReceipt:
    deletion_state = unpack_deletion_state(b64decode(source["fate"]))
    key = InstanceKey(source["study"], source["series"], source["uid"])
    if not deletion_state.hidden:
        return DecidedReceipt(key, source["receipt"], deletion_state)
    entry = unpack_entry(b64decode(source["entry"])) if source.get("entry") else None
    return DecidedReceipt(key, source["receipt"], deletion_state, source["object_key"], source["digest"], entry)
