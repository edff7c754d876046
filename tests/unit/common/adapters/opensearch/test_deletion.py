"""OpenSearch refuses deletion and holds, until they are built there: nothing is told that it would not keep."""

from __future__ import annotations

import pytest

from gantry.common.adapters.opensearch.cluster import OpenSearchCluster
from gantry.common.adapters.opensearch.index import OpenSearchIndex
from gantry.common.clock import ManualClock
from gantry.common.errors import DependencyUnavailable
from gantry.common.lifecycle import Deletion, Fate
from gantry.common.ports.index import Decision, HoldChange, InstanceKey


async def test_what_cannot_be_hidden_is_refused_and_not_passed_over() -> None:
    index = OpenSearchIndex(OpenSearchCluster(("127.0.0.1:1",), "t"), ManualClock())
    fate = Fate(frozenset([Deletion("d", 1)]))
    try:
        with pytest.raises(DependencyUnavailable, match="not built for OpenSearch"):
            await index.decide([Decision("default", InstanceKey("1", "2", "3"), "r", fate)])
        with pytest.raises(DependencyUnavailable, match="not built for OpenSearch"):
            await index.hold([HoldChange("default", "1", "h", True)])
        # Whoever deletes or holds asks for holds first.
        with pytest.raises(DependencyUnavailable, match="not built for OpenSearch"):
            await index.holds("default", "1")
        await index.decide([])
        await index.hold([])
        assert await index.fates("default", ["r"]) == {}
        assert [page async for page in index.fated("default")] == []
    finally:
        await index.close()
