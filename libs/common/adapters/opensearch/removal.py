"""Removes an installation's share of the nodes: its indices and templates, for ever."""

from __future__ import annotations

from gantry.common.adapters.opensearch.client import OpenSearchClient
from gantry.common.adapters.opensearch.cluster import KINDS, OpenSearchCluster


async def remove_indices(cluster: OpenSearchCluster) -> int:
    """Remove the indices of every generation and their templates. Returns how many indices there were. Raises
    `DependencyUnavailable`."""
    client = OpenSearchClient(cluster)
    try:
        patterns = [f"{cluster.alias(kind)}-v*" for kind in KINDS]
        rows = await client.request("GET", f"/_cat/indices/{','.join(patterns)}", format="json", h="index")
        names = sorted(row["index"] for row in rows)
        for name in names:
            await client.request("DELETE", f"/{name}", ignore_unavailable="true")
        for pattern in patterns:
            await client.request("DELETE", f"/_index_template/{pattern}", absent=(404,))
        return len(names)
    finally:
        await client.close()
