"""Which SOP Instance UIDs are in conflict: with receipts of other bytes aside, or several instances."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any

from gantry.common.adapters.opensearch.client import OpenSearchClient

_PAGE = 1000


class Conflicts:
    """Lists them for one partition."""

    def __init__(self, client: OpenSearchClient, index: str, partition: str) -> None:
        """`index` is that of the instances."""
        self._client = client
        self._index = index
        self._filters: list[dict[str, Any]] = [{"term": {"partition": partition}}, {"term": {"live": True}}]

    async def pages(self) -> AsyncIterator[list[str]]:
        """Pages of UIDs, each UID once."""
        async for uids in self._with_aside():
            yield uids
        async for uids in self._of_several():
            known = await self._among(uids)
            if others := [uid for uid in uids if uid not in known]:
                yield others

    async def studies(self, uids: Collection[str]) -> frozenset[str]:
        """The studies, of those given, with receipts aside."""
        if not uids:
            return frozenset()
        filters = [*self._filters, {"terms": {"study": sorted(uids)}}, {"range": {"aside": {"gte": 1}}}]
        aggregation = {"studies": {"terms": {"field": "study", "size": len(uids)}}}
        body = {"size": 0, "query": {"bool": {"filter": filters}}, "aggs": aggregation}
        answer = await self._client.search(self._index, body)
        return frozenset(bucket["key"] for bucket in answer["aggregations"]["studies"]["buckets"])

    async def _with_aside(self) -> AsyncIterator[list[str]]:
        body: dict[str, Any] = {
            "size": _PAGE,
            "query": {"bool": {"filter": [*self._filters, {"range": {"aside": {"gte": 1}}}]}},
            "sort": ["uid", "study", "series"],
            "_source": ["uid"],
        }
        last = ""
        while hits := (await self._client.search(self._index, body))["hits"]["hits"]:
            uids = list(dict.fromkeys(hit["_source"]["uid"] for hit in hits))
            if others := [uid for uid in uids if uid != last]:
                yield others
            last = uids[-1]
            body["search_after"] = hits[-1]["sort"]

    async def _of_several(self) -> AsyncIterator[list[str]]:
        more = {"bucket_selector": {"buckets_path": {"count": "_count"}, "script": "params.count > 1"}}
        names: dict[str, Any] = {"size": _PAGE, "sources": [{"uid": {"terms": {"field": "uid"}}}]}
        while True:
            composite = {"uids": {"composite": names, "aggs": {"several": more}}}
            body = {"size": 0, "query": {"bool": {"filter": self._filters}}, "aggs": composite}
            aggregation = (await self._client.search(self._index, body))["aggregations"]["uids"]
            if aggregation["buckets"]:
                yield [bucket["key"]["uid"] for bucket in aggregation["buckets"]]
            if "after_key" not in aggregation:
                return
            names["after"] = aggregation["after_key"]

    async def _among(self, uids: list[str]) -> set[str]:
        """Which of the UIDs were listed already."""
        filters = [*self._filters, {"terms": {"uid": uids}}, {"range": {"aside": {"gte": 1}}}]
        body = {
            "size": 0,
            "query": {"bool": {"filter": filters}},
            "aggs": {"uids": {"terms": {"field": "uid", "size": _PAGE}}},
        }
        answer = await self._client.search(self._index, body)
        return {bucket["key"] for bucket in answer["aggregations"]["uids"]["buckets"]}
