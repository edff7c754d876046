"""What only OpenSearch has to show of its receipts: documents stay small, and no crash between two writes miscounts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from gantry.common.adapters.opensearch import OpenSearchIndex
from gantry.common.adapters.opensearch.client import BulkOperation, OpenSearchClient, OperationResult
from gantry.common.adapters.opensearch.documents import MOST_NEAR
from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.index import Outcome
from tests.contract.conftest import SEARCH_INDEXES
from tests.support.entries import entry
from tests.support.servers import remove_indices, required

MANY = [entry(1000 + n, digest=f"blake3:{n % 3}") for n in range(6 * MOST_NEAR)]
ASIDE = sum(one.digest != MANY[0].digest for one in MANY)


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[OpenSearchIndex]:
    opened = await SEARCH_INDEXES["opensearch"](tmp_path)
    assert isinstance(opened, OpenSearchIndex)
    yield opened
    await opened.close()
    remove_indices(opened._cluster.prefix)


def search(index: OpenSearchIndex, kind: str) -> list[dict[str, Any]]:
    address, alias = required("opensearch").address, index._cluster.alias(kind)
    urlopen(Request(f"{address}/{alias}/_refresh", method="POST")).close()
    with urlopen(f"{address}/{alias}/_search?size=1000") as response:
        return [hit["_source"] for hit in json.load(response)["hits"]["hits"]]


async def test_an_instance_document_does_not_grow_with_what_is_resent(index: OpenSearchIndex) -> None:
    sizes = []
    for start in range(0, len(MANY), 8):
        await index.apply(MANY[start : start + 8])
        (document,) = search(index, "instances")
        sizes.append(len(json.dumps(document)))
        assert len(document["receipts"]["near"]) <= MOST_NEAR
    assert max(sizes) < 16_384
    # A batch of nothing else is as good.
    await index.apply([entry(5000 + n) for n in range(400)])
    (document,) = search(index, "instances")
    assert len(document["receipts"]["near"]) <= MOST_NEAR
    # The object of every receipt stays known.
    known = {row[3] for row in document["receipts"]["near"]} | {one["object_key"] for one in search(index, "receipts")}
    assert known == {one.object_key for one in MANY} | {entry(5000 + n).object_key for n in range(400)}


@pytest.mark.parametrize("after", ["the receipts' own documents", "the instance's document"])
async def test_who_dies_while_receipts_move_miscounts_nothing(
    index: OpenSearchIndex, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    bulk = OpenSearchClient.bulk
    dying = True

    async def cut_short(self: OpenSearchClient, operations: Any) -> list[OperationResult]:
        every: list[BulkOperation] = list(operations)
        moving = any(o.index.rsplit("-", 2)[0].endswith("-receipts") for o in every)
        if dying and moving and after == "the instance's document":
            raise DependencyUnavailable("index", "cut")
        written = await bulk(self, every)
        if dying and moving:
            raise DependencyUnavailable("index", "cut")
        return written

    monkeypatch.setattr(OpenSearchClient, "bulk", cut_short)
    for start in range(0, len(MANY), 20):
        dying = True
        try:
            await index.apply(MANY[start : start + 20])
        except DependencyUnavailable:
            dying = (start // 20) % 2 == 0
            # It comes again, to one who lives or to one who dies at the same place.
            try:
                await index.apply(MANY[start : start + 20])
            except DependencyUnavailable:
                dying = False
                await index.apply(MANY[start : start + 20])
    dying = False
    assert {applied.outcome for applied in await index.apply(MANY)} == {Outcome.REDELIVERED}
    assert (await index.count("default"))["aside"] == ASIDE
    # What was aside is counted anew where an earlier one takes the place; what is in two places counts once.
    await index.apply([entry(1, digest=MANY[1].digest)])
    assert (await index.count("default"))["aside"] == sum(one.digest != MANY[1].digest for one in MANY)


async def test_what_is_half_moved_counts_once(index: OpenSearchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    bulk = OpenSearchClient.bulk

    async def cut_short(self: OpenSearchClient, operations: Any) -> list[OperationResult]:
        every: list[BulkOperation] = list(operations)
        written = await bulk(self, every)
        if any("-receipts-" in o.index for o in every):
            raise DependencyUnavailable("index", "cut")
        return written

    await index.apply(MANY[: MOST_NEAR + 1])  # these move
    with monkeypatch.context() as patch:
        patch.setattr(OpenSearchClient, "bulk", cut_short)
        with pytest.raises(DependencyUnavailable):
            await index.apply(MANY[MOST_NEAR + 1 : 2 * MOST_NEAR + 3])
    # Never shortened, and displaced: near and moved overlap.
    early = entry(1, digest=MANY[1].digest)
    await index.apply([early])
    told = MANY[: 2 * MOST_NEAR + 3]
    assert (await index.count("default"))["aside"] == sum(one.digest != early.digest for one in told)
